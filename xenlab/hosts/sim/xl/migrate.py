"""xl migrate between two simulated hosts (xl_migrate.c), with the rounds of the pre-copy model.

The two ends talk over `wire`, the private link's stand-in for ssh. What the receiver prints goes to
/var/log/xen/wire.log on its host, as there.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from xenlab.hosts.sim.domconfig import DomainConfig
from xenlab.hosts.sim.guest import Guest, GuestState
from xenlab.hosts.sim.libxl_log import libxl_log
from xenlab.hosts.sim.machine import SUSPEND, Domain
from xenlab.hosts.sim.process import NotSimulated, Process
from xenlab.hosts.sim.toolstack import destroy_domain, rename_domain
from xenlab.hosts.sim.world import World
from xenlab.hosts.sim.xl.create import Launch, launch
from xenlab.hosts.sim.xl.invocation import Invocation
from xenlab.hosts.sim.xl.retrieve import retrieve_config
from xenlab.hosts.sim.xl.saverestore import (
    HEADER,
    MAGIC,
    STREAM_MAGIC,
    first_restore_lines,
    log_not_resumed,
    log_restore_failed,
    report_restored,
    save_header,
)
from xenlab.migration.pages import PAGE_BYTES
from xenlab.migration.policies import Xen417
from xenlab.migration.precopy import Precopy
from xenlab.migration.rounds import Guest as Memory
from xenlab.migration.rounds import Path, Round
from xenlab.migration.workloads import RandomWrites, Region, Sweep, Together, Workload

LOG = "/var/log/xen/wire.log"
LINK = Path(mbit=1000.0, state=0.1, resume=0.15)
LINK_BYTES_PER_SECOND = 112e6  # of a file that is copied
NOTICES_AFTER = 7.0  # seconds until a sender gives up on a link that was cut
SUSPEND_PAGES = 300  # what Linux writes to while it suspends itself, as heard from real guests
FLAGS = "info 0x3/0x0"


class _Broken(Exception):
    """The migration cannot go on: what the transport says of that, and what libxc says at the target."""

    def __init__(self, transport: str, *restoring: str) -> None:
        self.transport, self.restoring = transport, restoring


@dataclass
class _Target:
    """The receiving end: its own xl, and where that logs."""

    xl: Invocation
    process: Process

    @classmethod
    def on(cls, world: World) -> _Target:
        process = Process(["xl", "migrate-receive"])
        return cls(Invocation(world, process, []), process)

    def log(self) -> None:
        """Write down what it has printed."""
        self.xl.world.files.append(LOG, self.process.completed(0).stderr.encode())


class _Sending(Precopy):
    """The rounds of a guest that writes to some pages more while it suspends itself."""

    def _stop_and_copy(self) -> Round:
        self.dirty[:SUSPEND_PAGES] = True
        return super()._stop_and_copy()


def migrate(xl: Invocation) -> int:
    """``xl migrate -s wire DOMAIN HOST``."""
    options, operands = xl.options("migrate", "FC:s:epDgl", {"debug": "g", "live": "l"}, required=2)
    how = dict(options)
    name, host = operands[:2]
    domid = xl.domid(name)
    domain = xl.domain(domid)
    if domain is None or domid == 0:
        xl.err("unable to retrieve domain configuration\n")
        return 1
    if how.get("s") != "wire" or host not in ("hosta", "hostb") or how.keys() - set("sl"):
        raise NotSimulated(f"xl migrate but as `xl migrate -s wire {name} hostb`")
    guest = domain.load
    assert isinstance(guest, Guest)
    if domain.type == "pvh" and not (domain.runnable and guest.state.booted and not guest.stopping):
        raise NotSimulated("xl migrate of a guest that cannot suspend itself")
    if host not in xl.world.peers:
        return _no_route(xl, host)
    return _send(xl, domain, host, guest)


def _no_route(xl: Invocation, host: str) -> int:
    xl.world.pass_time(3.0)
    xl.err(_unreachable("wire", host))
    where = "libxl_utils.c:505:libxl_read_exactly"
    libxl_log(xl.err, where, "file/stream truncated reading banner from migration receiver stream")
    where = "libxl_exec.c:117:libxl_report_child_exitstatus"
    child = f"migration transport process [{xl.world.new_pid()}]"
    libxl_log(xl.err, where, f"{child} exited with error status 1", level="info")
    return 1


def _unreachable(program: str, host: str) -> str:
    """What bash says when it cannot open a connection for this program."""
    path = f"/usr/local/bin/{program}"
    return f"{path}: connect: No route to host\n{path}: line 4: /dev/tcp/{host}/514: No route to host\n"


def _send(xl: Invocation, domain: Domain, host: str, guest: Guest) -> int:
    config = retrieve_config(xl.world, domain, xl.err)
    length = len(save_header(config)) - HEADER.size
    target = _Target.on(xl.world.peers[host])
    target.xl.err("migration target: Ready to receive domain.\n")
    xl.err(f"Saving to migration stream new xl format ({FLAGS}/{length})\n")
    target.xl.err(f"Loading new save file <incoming migration stream> (new xl fmt {FLAGS}/{length})\n")
    target.xl.err(" Savefile contains xl domain config in JSON format\nParsing config from <saved>\n")
    arriving = replace(config, name=f"{config.name}--incoming")
    domid = target.xl.machine.next_domid
    incoming = _reserve(target, arriving)
    kind = "HVM" if domain.type == "pvh" else "PV"
    xl.err(f"xc: info: Saving domain {domain.domid}, type x86 {kind}\n")
    try:
        if domain.type == "pv":
            return _no_log_dirty(xl, domain, target, incoming, arriving)
        if incoming is None:
            populating = "Failed to populate physmap (16 = Device or resource busy)"
            batch = "Failed to populate pfns for batch of 1024 pages"
            raise _Broken(
                "Connection reset by peer", populating, batch, "Restore failed (16 = Device or resource busy)"
            )
        _copy(xl, domain, host, guest)
    except _Broken as broken:
        _sender_gives_up(xl, domain, broken.transport)
        _target_gives_up(target, domid, incoming, arriving, broken)
        return 1
    assert incoming is not None
    _hand_over(xl, domain, target, incoming, config, guest)
    return 0


def _reserve(target: _Target, config: DomainConfig) -> Domain | None:
    """Build the empty domain at the target; None if that has not enough memory for it."""
    machine = target.xl.machine
    if (config.memory_kb or 0) > machine.free_kb:
        machine.destroy_domain(machine.create_domain(target.xl.world.new_uuid(), "pvh", 1))
        return None
    launch(target.xl, config, Launch(paused=True), GuestState(booted=True))
    return target.xl.world.domain_named(config.name)


def _workload(guest: Guest, mib: float) -> Workload:
    """What the shipped guest writes: a little always, and N MiB once a second where it was told to."""
    kind, _, amount = guest.workload.partition(":")
    quiet = RandomWrites(Region(0, 2), 0.4)
    if kind != "dirty":
        return quiet
    return Together((quiet, Sweep(Region(mib / 4, min(float(amount), mib / 2)), 1.0)))


def _copy(xl: Invocation, domain: Domain, host: str, guest: Guest) -> None:
    """Send memory round by round; the guest has stopped when this returns. Raises `_Broken` if the other end goes."""
    mib = domain.memory_kb / 1024
    run = _Sending(Memory(mib), _workload(guest, mib), Xen417(), LINK, seed=domain.domid)
    for each in run:
        if not each.live:
            xl.machine.shut_down(domain, SUSPEND)
        xl.world.sent.append(each)
        xl.world.pass_time(max(each.seconds, 0.01))
        if host not in xl.world.peers:
            xl.world.pass_time(NOTICES_AFTER)
            record = "Failed to read 4202504 bytes of data for record (0x00000001, Page data) (0 = Success)"
            raise _Broken("No route to host", record, "Restore failed (0 = Success)")
    xl.world.pass_time(LINK.state)


def _sender_gives_up(xl: Invocation, domain: Domain, transport: str) -> None:
    """The transport has ended, so libxl's helper could not write; the guest goes on here, if it has stopped at all."""
    helper = f"domain {domain.domid} save/restore helper"
    xl.err(f"cat: write error: {transport}\n")
    where = "libxl_utils.c:505:libxl_read_exactly"
    libxl_log(xl.err, where, f"file/stream truncated reading ipc msg header from {helper} stdout pipe")
    where = "libxl_exec.c:127:libxl_report_child_exitstatus"
    libxl_log(xl.err, where, f"{helper} [{xl.world.new_pid()}] died due to fatal signal Broken pipe")
    xl.err("migration sender: libxl_domain_suspend failed (rc=-3)\n")
    xl.err("Migration failed, resuming at sender.\n")
    if domain.shutdown_reason is not None:
        xl.machine.resume(domain)
    else:
        log_not_resumed(xl, domain)


def _target_gives_up(
    target: _Target, domid: int, incoming: Domain | None, config: DomainConfig, broken: _Broken
) -> None:
    """Take down what there is of the guest at the target."""
    for line in first_restore_lines(config):
        target.xl.err(f"xc: info: {line}\n")
    if incoming is not None and not incoming.destroyed:
        destroy_domain(target.xl.world, incoming)
    log_restore_failed(target.xl, domid, *broken.restoring)
    target.xl.err("migration target: Domain creation failed (code -3).\n")
    target.log()


def _no_log_dirty(
    xl: Invocation, domain: Domain, target: _Target, incoming: Domain | None, config: DomainConfig
) -> int:
    """A PV guest needs shadow paging to have its writes logged, and Debian's Xen is built without."""
    xl.err("xc: error: Failed to enable logdirty: 95,22,0 (22 = Invalid argument): Internal error\n")
    xl.err("xc: error: Save failed (22 = Invalid argument): Internal error\n")
    where = "libxl_stream_write.c:347:libxl__xc_domain_save_done"
    text = "saving domain: domain did not respond to suspend request"
    libxl_log(xl.err, where, text, domain.domid, "Invalid argument")
    xl.err("migration sender: libxl_domain_suspend failed (rc=-8)\n")
    xl.err("Migration failed, failed to suspend at sender.\n")
    assert incoming is not None
    header = "Failed to read Record Header from stream (0 = Success)"
    _target_gives_up(
        target, incoming.domid, incoming, config, _Broken("", header, "Restore failed (0 = Success)")
    )
    return 1


def _hand_over(
    xl: Invocation,
    domain: Domain,
    target: _Target,
    incoming: Domain,
    config: DomainConfig,
    guest: Guest,
) -> None:
    assert isinstance(incoming.load, Guest)
    name = config.name
    report_restored(target.xl, replace(config, name=f"{name}--incoming"))
    say = target.xl.err
    say("migration target: Transfer complete, requesting permission to start domain.\n")
    xl.err("migration sender: Target has acknowledged transfer.\n")
    rename_domain(xl.world, domain, f"{name}--migratedaway", xl.err)
    xl.err("migration sender: Giving target permission to start.\n")
    say("migration target: Got permission, starting domain.\n")
    incoming.load.go_on_from(guest.suspend())
    xl.world.pass_time(LINK.resume)
    rename_domain(target.xl.world, incoming, name, target.xl.err)
    target.xl.machine.unpause(incoming)
    say("migration target: Domain started successsfully.\n")
    xl.err("migration sender: Target reports successful startup.\n")
    destroy_domain(xl.world, domain)
    xl.err("Migration successful.\n")
    target.log()


def wire_copy(world: World, process: Process) -> int:
    """``wire-copy FILE HOST``: put a file where the other host finds it under the same path."""
    path, host = process.argv[1:3]
    try:
        data = world.files.read(path)
    except OSError as error:
        process.fail(f"stat: cannot statx '{path}': {error.strerror}")
    if host not in world.peers:
        world.pass_time(3.0)
        process.err(_unreachable("wire-copy", host))
        return 1
    pages = _saved_pages(data)
    seconds = (len(data) + pages * PAGE_BYTES) / LINK_BYTES_PER_SECOND
    if pages:
        world.sent.append(Round(1, False, 0.0, seconds, pages, pages, 0, 0, 0, float("inf")))
    world.pass_time(0.3 + seconds)
    world.peers[host].files.write(path, data)
    return 0


def _saved_pages(data: bytes) -> int:
    """How many pages this file would hold: a saved guest is kept here without its memory."""
    if not data.startswith(MAGIC):
        return 0
    state = json.loads(data.partition(STREAM_MAGIC)[2])
    return (DomainConfig.load(state["config"]).memory_kb or 0) * 1024 // PAGE_BYTES


WIRE_PROGRAMS: dict[str, Callable[[World, Process], int]] = {"wire-copy": wire_copy}
