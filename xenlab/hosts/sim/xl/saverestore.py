"""xl save and restore (xl_saverestore.c).

A save file begins as xl's does, with its magic number, flags and the configuration as JSON; what follows
stands for the guest's memory.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, replace
from typing import Any

from xenlab.hosts.sim.domconfig import DomainConfig, libxl_json
from xenlab.hosts.sim.guest import Guest, GuestState
from xenlab.hosts.sim.machine import SUSPEND, Domain
from xenlab.hosts.sim.process import NotSimulated
from xenlab.hosts.sim.toolstack import destroy_domain, log_no_such_domain
from xenlab.hosts.sim.xl.create import Launch, launch, read_config
from xenlab.hosts.sim.xl.domcfg import parse_domain_config
from xenlab.hosts.sim.xl.invocation import Invocation
from xenlab.hosts.sim.xl.retrieve import retrieve_config
from xenlab.hosts.sim.xl.usage import help_on

MAGIC = b"Xen saved domain, xl format\n \0 \r"
BYTE_ORDER = 0x01020304
JSON_CONFIG, STREAM_V2 = 1, 2
HEADER = struct.Struct(
    "<32sIIII"
)  # magic, byte order, mandatory flags, optional flags, length of optional data
STREAM_MAGIC = b"xenlab simulated stream\n"
PAGE_KB = 4
FRAMES_PER_REPORT = 1024
PVH_FRAMES = 0xFF000  # its p2m reaches up to the special pages
KB_PER_SECOND = 128 * 1024  # how fast memory is written or read
SUSPEND_LIMIT = 60.0
P2M_LIST = 0xC90000000000  # where Linux maps its list of frames (the 48 bits that a page walk looks at)


def save(xl: Invocation) -> int:
    """``xl save DOMAIN FILE [CONFIG]``."""
    options, operands = xl.options("save", "cpD", required=2)
    letters = {letter for letter, _ in options}
    if len(operands) > 3:
        xl.out(help_on("save"))
        return 1
    domid, path = xl.domid(operands[0]), operands[1]
    domain = xl.domain(domid)
    if domain is None or domid == 0:
        xl.err("unable to retrieve domain configuration\n")
        return 1
    kept_domid = domid if "D" in letters else None
    config = replace(retrieve_config(xl.world, domain, xl.err), domid=kept_domid)
    if len(operands) == 3:
        text = read_config(xl, operands[2])
        if text is None:
            return 1
        config = parse_domain_config(xl, text, operands[2])
    header = save_header(config)
    try:
        xl.world.files.write(path, header + _stream(config, None))
    except OSError:
        xl.err(f"Failed to open temp file {path} for writing\n")
        return 1
    length = len(header) - HEADER.size
    xl.err(f"Saving to {path} new xl format (info 0x3/0x0/{length})\n")
    return _suspend(xl, domain, config, path, header, letters)


def save_header(config: DomainConfig) -> bytes:
    """What xl writes ahead of the guest's memory: its magic, and the configuration as JSON."""
    text = libxl_json(config.to_json()).encode() + b"\n\0"
    data = struct.pack("<I", len(text)) + text
    return HEADER.pack(MAGIC, BYTE_ORDER, JSON_CONFIG | STREAM_V2, 0, len(data)) + data


def _stream(config: DomainConfig, guest: GuestState | None, image_header: bool = True) -> bytes:
    """What stands for the guest's memory; without a guest, of a save that was not finished, or not begun."""
    state = None if guest is None else asdict(guest)
    fields = {"config": config.dump(), "guest": state, "image header": image_header}
    return STREAM_MAGIC + json.dumps(fields).encode()


def _suspend(
    xl: Invocation, domain: Domain, config: DomainConfig, path: str, header: bytes, letters: set[str]
) -> int:
    guest = domain.load
    assert isinstance(guest, Guest)
    kind, frames = ("HVM", PVH_FRAMES) if domain.type == "pvh" else ("PV", domain.peak_kb // PAGE_KB)
    xl.err(f"xc: info: Saving domain {domain.domid}, type x86 {kind}\n")
    if domain.shutdown_reason is not None:
        raise NotSimulated("xl save of a domain that has shut down")
    if domain.type == "pv" and not (guest.state.booted and guest.has_run):
        xl.world.files.write(path, header + _stream(config, None, image_header=False))
        return _p2m_unreadable(xl, domain, guest)
    if not (domain.runnable and guest.state.booted) or guest.stopping:
        return _not_suspended(xl, domain)
    xl.machine.shut_down(domain, SUSPEND)
    xl.world.pass_time(domain.memory_kb / KB_PER_SECOND)
    _report_progress(xl, frames)
    xl.world.files.write(path, header + _stream(config, guest.suspend()))
    if "p" in letters:
        xl.machine.pause(domain)
    if letters & {"p", "c"}:
        xl.machine.resume(domain)
    else:
        destroy_domain(xl.world, domain)
    return 0


def _p2m_unreadable(xl: Invocation, domain: Domain, guest: Guest) -> int:
    """A PV guest that has not run yet has not told Xen where its p2m list is, or since it was restored, not anew.

    The restored one names the machine frame it had before. Here that frame is never its own again; on a real
    Xen it may by chance be, and then the save goes as far as `_not_suspended`.
    """
    if guest.state.booted:
        frame = xl.machine.spec.memory_mib * 256 - domain.domid
        walk = f"page table walk for vaddr {P2M_LIST:#x} at level 4 of p2m list"
        xl.err(f"xc: error: Bad mfn {frame:#x} during {walk}: Internal error\n")
        return _not_saved(xl, domain, 34, "Numerical result out of range")
    xl.err("xc: error: Bad mfn 0 for p2m frame list list: Internal error\n")
    return _not_saved(xl, domain, 0, "Success")


def _not_suspended(xl: Invocation, domain: Domain) -> int:
    """A guest that is paused or still booting, or has begun to shut down (Linux' manage.c ignores what comes
    after that), does not answer the request to suspend itself.
    """
    xl.world.pass_time(SUSPEND_LIMIT)
    where = "libxl_dom_suspend.c:269:domain_suspend_common_pvcontrol_suspending"
    xl.log(where, "guest didn't acknowledge suspend, cancelling request", domain.domid)
    xl.err(f"xc: error: Domain has not been suspended: {_shutdown_state(domain)}: Internal error\n")
    return _not_saved(xl, domain, 0, "Success")


def _not_saved(xl: Invocation, domain: Domain, errno: int, meaning: str) -> int:
    xl.err(f"xc: error: Save failed ({errno} = {meaning}): Internal error\n")
    where = "libxl_stream_write.c:347:libxl__xc_domain_save_done"
    xl.log(where, "saving domain: domain did not respond to suspend request", domain.domid, meaning)
    xl.err("Failed to save domain, resuming domain\n")
    log_not_resumed(xl, domain)
    return 1


def log_not_resumed(xl: Invocation, domain: Domain) -> None:
    """What libxc and libxl say when they are to resume a domain that has not been suspended."""
    xl.err(f"xc: error: Dom {domain.domid} not suspended: ({_shutdown_state(domain)}): Internal error\n")
    where = "libxl_dom_suspend.c:666:domain_resume_done"
    xl.log(where, "xc_domain_resume failed", domain.domid, "Invalid argument")


def _shutdown_state(domain: Domain) -> str:
    reason = 255 if domain.shutdown_reason is None else domain.shutdown_reason
    return f"shutdown {int(domain.shutdown_reason is not None)}, reason {reason}"


def _report_progress(xl: Invocation, frames: int) -> None:
    """One report every 4 MiB, of which the logger prints those that are 5 % further (xtl_logger_stdio.c)."""
    printed = 0
    for written in (*range(0, frames, FRAMES_PER_REPORT), frames):
        percent = written * 100 // frames
        if percent >= printed + 5:
            xl.err(f"xc: progress: Frames: {written}/{frames}  {percent:3d}%\n")
            printed = percent
    xl.err("xc: progress: End of stream: 0/0    0%\n")


def restore(xl: Invocation) -> int:
    """``xl restore [CONFIG] FILE``."""
    options, operands = xl.options(
        "restore", "FcpdeVA", {"vncviewer": "V", "vncviewer-autopass": "A"}, required=1
    )
    letters = {letter for letter, _ in options}
    for letter in letters & set("FcVA"):
        raise NotSimulated(f"xl restore -{letter}")
    if len(operands) > 2:
        xl.out(help_on("restore"))
        return 1
    path = operands[-1]
    try:
        data = xl.world.files.read(path)
    except OSError as error:
        xl.err(f"Can't open restore file: {error.strerror}\n")
        return 1
    stream = _read_header(xl, path, data)
    if stream is None:
        return 1
    config = _config(xl, operands[0] if len(operands) == 2 else None, stream)
    if config is None:
        return 1
    memory_kb = config.memory_kb or 0
    if memory_kb > xl.machine.free_kb:
        raise NotSimulated("restoring a domain for which there is not enough memory")
    if stream["guest"] is None:
        return _restore_unfinished(xl, config, stream["image header"])
    xl.world.pass_time(memory_kb / KB_PER_SECOND)
    if launch(xl, config, Launch("p" in letters, "e" not in letters), _guest_state(stream["guest"])):
        return 1
    report_restored(xl, config)
    return 0


def _restore_unfinished(xl: Invocation, config: DomainConfig, image_header: bool) -> int:
    """What becomes of a file whose saving failed before the guest's memory was written."""
    domid = xl.machine.next_domid
    if launch(xl, config, Launch(paused=True, monitored=False), GuestState(booted=True)):
        return 1
    destroy_domain(xl.world, xl.machine.domains[domid])
    if image_header:
        for line in first_restore_lines(config):
            xl.err(f"xc: info: {line}\n")
    what, then = ("Record", ["Restore failed (0 = Success)"]) if image_header else ("Image", [])
    log_restore_failed(xl, domid, f"Failed to read {what} Header from stream (0 = Success)", *then)
    return 1


def log_restore_failed(xl: Invocation, domid: int, *errors: str) -> None:
    """Say what libxc and libxl say of a domain that could not be restored.

    `errors` are libxc's, the last with its number and meaning in parentheses.
    """
    for error in errors:
        xl.err(f"xc: error: {error}: Internal error\n")
    where = "libxl_stream_read.c:850:libxl__xc_domain_restore_done"
    xl.log(where, "restoring domain", errno=errors[-1].rpartition("= ")[2].rstrip(")"))
    where = "libxl_create.c:1640:domcreate_rebuild_done"
    xl.log(where, "cannot (re-)build domain: -3", domid)
    log_no_such_domain(xl.err, domid)


def first_restore_lines(config: DomainConfig) -> tuple[str, str]:
    """What libxc says when it begins to restore."""
    kind = "HVM" if config.type == "pvh" else "PV"
    return f"Found x86 {kind} domain from Xen 4.17", "Restoring domain"


def report_restored(xl: Invocation, config: DomainConfig) -> None:
    """Say what libxc says of a guest that has been restored."""
    home = f"/local/domain/{xl.domid(config.name)}"
    store_page, console_page = (
        int(xl.world.store.read(f"{home}/{ring}/ring-ref") or 0) for ring in ("store", "console")
    )
    for line in (
        *first_restore_lines(config),
        "Restore successful",
        f"XenStore: mfn {store_page:#x}, dom 0, evt 1",
        f"Console: mfn {console_page:#x}, dom 0, evt 2",
    ):
        xl.err(f"xc: info: {line}\n")


def _guest_state(fields: dict[str, Any]) -> GuestState:
    lists = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    return GuestState(**{**fields, **lists})


def _config(xl: Invocation, override: str | None, stream: dict[str, Any]) -> DomainConfig | None:
    saved = DomainConfig.load(stream["config"])
    if override is None:
        xl.err("Parsing config from <saved>\n")
        return saved
    text = read_config(xl, override)
    if text is None:
        return None
    xl.err(f"Parsing config from {override}\n")
    return replace(parse_domain_config(xl, text, override), cmdline=saved.cmdline)


def _read_header(xl: Invocation, path: str, data: bytes) -> dict[str, Any] | None:
    if len(data) < HEADER.size:
        xl.err("File has wrong magic number - corrupt or for a different tool?\n")
        return None
    magic, order, mandatory, optional, length = HEADER.unpack_from(data)
    if magic != MAGIC:
        xl.err("File has wrong magic number - corrupt or for a different tool?\n")
        return None
    if order != BYTE_ORDER:
        xl.err("File has wrong byte order\n")
        return None
    xl.err(f"Loading new save file {path} (new xl fmt info 0x{mandatory:x}/0x{optional:x}/{length})\n")
    xl.err(" Savefile contains xl domain config in JSON format\n")
    stream = data[HEADER.size + length :]
    if not stream.startswith(STREAM_MAGIC):
        raise NotSimulated("restoring a domain that was saved on a real host")
    result = json.loads(stream.removeprefix(STREAM_MAGIC))
    assert isinstance(result, dict)
    return result
