"""xl create: from a configuration file to a running domain, and the process that stays behind to wait for
its end.

Source: create_domain and main_create in xl_vmcontrol.c.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from xenlab.hosts.sim.domconfig import DomainConfig, libxl_json
from xenlab.hosts.sim.guest import GuestState
from xenlab.hosts.sim.libxl_log import LibxlError
from xenlab.hosts.sim.machine import CRASH, REBOOT, SUSPEND, Domain
from xenlab.hosts.sim.process import NotSimulated
from xenlab.hosts.sim.toolstack import create_domain, destroy_domain, log_no_such_domain
from xenlab.hosts.sim.world import World
from xenlab.hosts.sim.xl.domcfg import parse_domain_config
from xenlab.hosts.sim.xl.invocation import Invocation
from xenlab.hosts.sim.xl.retrieve import retrieve_config
from xenlab.hosts.sim.xl.usage import help_on

BUILD_SECONDS = 0.8  # to load kernel and initrd into the new domain's memory
REBOOT_PAUSE = 2.0  # xl sleeps so long before it builds a domain again


@dataclass(frozen=True)
class Launch:
    """How a domain is to be started: paused or not, and whether a process waits for its end."""

    paused: bool = False
    monitored: bool = True


def create(xl: Invocation) -> int:
    """``xl create FILE [key=value...]``."""
    arguments = xl.arguments
    path = None
    if arguments and not arguments[0].startswith("-") and "=" not in arguments[0]:
        path = arguments[0]
        xl.arguments = arguments[1:]
    long = {
        "defconfig": "f",
        "dryrun": "n",
        "ignore-global-affinity-masks": "i",
        "quiet": "q",
        "vncviewer": "V",
        "vncviewer-autopass": "A",
    }
    options, operands = xl.options("create", "AFVcdef:inpq", long)
    letters = {letter for letter, _ in options}
    path = dict(options).get("f", path)
    extra = ""
    for operand in operands:
        if "=" in operand:
            extra += operand + "\n"
        elif path is None:
            path = operand
        else:
            xl.out(help_on("create"))
            return 2
    return _create(xl, path, extra, letters)


def _create(xl: Invocation, path: str | None, extra: str, letters: set[str]) -> int:
    if path is None:
        xl.err("Config file not specified and none in save file\n")
        return 6
    for letter in letters & set("FcVA"):
        raise NotSimulated(f"xl create -{letter}, which stays with the domain,")
    text = read_config(xl, path)
    if text is None:
        return 3
    if extra:
        text += f"\n{extra}\n"
    if "q" not in letters:
        xl.err(f"Parsing config from {path}\n")
    config = parse_domain_config(xl, text, path)
    dry_run = xl.dry_run or "n" in letters
    if dry_run or "d" in letters:
        (xl.out if dry_run else xl.err)(libxl_json(config.to_json()) + "\n")
    if dry_run:
        return 0
    return -launch(xl, config, Launch("p" in letters, "e" not in letters))


def read_config(xl: Invocation, path: str) -> str | None:
    """The text of a configuration file; None, with a message, if it cannot be read."""
    if path == "/dev/null":
        return ""
    try:
        data = xl.process.stdin.encode() if path == "/dev/stdin" else xl.world.files.read(path)
    except OSError as error:
        xl.err(f"Failed to read config file: {path}: {error.strerror}\n")
        return None
    return data.decode("latin-1")


def launch(xl: Invocation, config: DomainConfig, how: Launch, state: GuestState | None = None) -> int:
    """Build and start a domain; libxl's return code: 0, or negative if it failed."""
    xl.world.pass_time(BUILD_SECONDS)
    before = set(xl.machine.domains)
    domid = xl.machine.next_domid
    try:
        domain = create_domain(xl.world, config, xl.err, state)
    except LibxlError as error:
        if xl.machine.next_domid > domid:
            log_no_such_domain(xl.err, domid)
        assert set(xl.machine.domains) == before
        return error.rc
    if not how.paused:
        xl.machine.unpause(domain)
    if how.monitored:
        xl.world.env.process(_monitor(xl.world, domain, config))
    return 0


# -- the process that waits for the domain to end


class _Monitor:
    """Where the waiting process logs."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.path = f"/var/log/xen/xl-{name}.log"

    def log(self, line: str) -> None:
        self.world.files.append(self.path, line.encode() + b"\n")


def _monitor(world: World, domain: Domain, config: DomainConfig) -> Generator[Any, Any, None]:
    monitor = _Monitor(world, config.name)
    world.rotate_log(monitor.path)
    while True:
        pid = world.new_pid()
        monitor.log(f"Waiting for domain {config.name} (domid {domain.domid}) to die [pid {pid}]")
        while not domain.destroyed and domain.shutdown_reason is None:
            yield domain.changed
        if domain.destroyed:
            monitor.log(f"Domain {domain.domid} has been destroyed.")
            return
        yield world.env.timeout(0.05)
        config, again = _after_shutdown(world, domain, config, monitor)
        if not again:
            monitor.log("Done. Exiting now")
            return
        monitor.log("Done. Rebooting now")
        yield world.env.timeout(REBOOT_PAUSE)
        try:
            domain = create_domain(world, config, lambda text: monitor.log(text.rstrip("\n")))
        except LibxlError:
            return
        world.machine.unpause(domain)


def _after_shutdown(
    world: World, domain: Domain, config: DomainConfig, monitor: _Monitor
) -> tuple[DomainConfig, bool]:
    """Do what the configuration says for this end; the configuration now, and whether to build it again."""
    domid, reason = domain.domid, domain.shutdown_reason
    monitor.log(f"Domain {domid} has shut down, reason code {reason} 0x{reason:x}")
    if reason == SUSPEND:
        monitor.log("Domain has suspended.")
        return config, False
    actions = {REBOOT: config.on_reboot, CRASH: config.on_crash}
    action = actions.get(reason or 0, config.on_poweroff)
    shown = {"restart_rename": "rename-restart"}.get(action, action.replace("_", "-"))
    monitor.log(f"Action for shutdown reason code {reason} is {shown}")
    if action == "preserve":
        return config, False
    if action not in ("destroy", "restart"):
        raise NotSimulated(f"the action {shown} after a shutdown")
    if action == "restart":
        config = retrieve_config(world, domain, lambda text: monitor.log(text.rstrip("\n")))
    monitor.log(f"Domain {domid} needs to be cleaned up: destroying the domain")
    destroy_domain(world, domain)
    return config, action == "restart"
