"""xl list, info, domid, domname, uptime, vm-list, claims, sharing, dmesg (xl_info.c)."""

from __future__ import annotations

from collections.abc import Iterable

from xenlab.hosts.sim.domconfig import Json, libxl_json
from xenlab.hosts.sim.machine import Domain
from xenlab.hosts.sim.process import NotSimulated
from xenlab.hosts.sim.xl.cpupool import pool_name
from xenlab.hosts.sim.xl.facts import boot_log, host_facts
from xenlab.hosts.sim.xl.invocation import Invocation
from xenlab.hosts.sim.xl.retrieve import retrieve_config
from xenlab.hosts.sim.xl.usage import help_on

REASON_LETTERS = "-rscwS"


def list_(xl: Invocation) -> int:
    """``xl list``: one line a domain, or with -l all that libxl knows as JSON."""
    long = {"long": "l", "verbose": "v", "context": "Z", "cpupool": "c", "numa": "n"}
    options, operands = xl.options("list", "lvZcn", long)
    letters = {letter for letter, _ in options}
    domains = _listed(xl, "list", operands)
    if domains is None:
        return 1
    if "l" in letters:
        xl.out(libxl_json([_long_entry(xl, domain) for domain in domains]) + "\n\n")
    else:
        _print_table(xl, domains, letters)
    return 0


def _listed(xl: Invocation, command: str, operands: list[str]) -> list[Domain] | None:
    xl.machine.account()
    if not operands:
        return list(xl.machine.domains.values())
    if len(operands) > 1:
        xl.out(help_on(command))
        return None
    domain = xl.domain(xl.domid(operands[0]))
    if domain is None:
        xl.err(f"Error: Domain '{operands[0]}' does not exist.\n")
        return None
    return [domain]


def _long_entry(xl: Invocation, domain: Domain) -> Json:
    return {"domid": domain.domid, "config": retrieve_config(xl.world, domain, xl.err).to_json()}


def _print_table(xl: Invocation, domains: Iterable[Domain], options: set[str], claims: bool = False) -> None:
    verbose = "v" in options
    heading = "Name                                        ID   Mem VCPUs\tState\tTime(s)"
    heading += "   UUID                            Reason-Code\tSecurity Label" if verbose else ""
    heading += "   Security Label" if "Z" in options and not verbose else ""
    heading += "  Claimed" if claims else ""
    heading += "         Cpupool" if "c" in options else ""
    heading += " NODE Affinity" if "n" in options else ""
    xl.out(heading + "\n")
    for domain in domains:
        row = (
            f"{xl.name_of(domain.domid):<40} {domain.domid:5d} {domain.memory_kb // 1024:5d}"
            f" {domain.online_vcpus:5d}     {_state_letters(domain)}  {domain.seconds:8.1f}"
        )
        if verbose:
            reason = "-" if domain.shutdown_reason is None else f"{domain.shutdown_reason:x}"
            row += f" {domain.uuid} {reason:>8}"
        row += f" {0:5d}" if claims else ""
        row += f" {'-':>16}" if verbose or "Z" in options else ""
        row += f"{pool_name(xl.world, domain.pool):>16}" if "c" in options else ""
        row += " all" if "n" in options else ""
        xl.out(row + "\n")


def _state_letters(domain: Domain) -> str:
    online = [vcpu for vcpu in domain.vcpus if vcpu.online]
    is_dom0 = domain.domid == 0  # it is running xl at this moment
    reason = domain.shutdown_reason or 0
    return "".join(
        letter if holds else "-"
        for letter, holds in (
            ("r", is_dom0 or any(vcpu.running for vcpu in online)),
            ("b", not is_dom0 and bool(online) and all(vcpu.blocked for vcpu in online)),
            ("p", domain.pauses > 0),
            ("s", domain.shutdown_reason is not None),
            (REASON_LETTERS[reason], reason > 0),
            ("d", False),
        )
    )


def claims(xl: Invocation) -> int:
    """``xl claims``: the list, with memory claimed but not yet given."""
    xl.options("claims")
    xl.machine.account()
    _print_table(xl, xl.machine.domains.values(), set(), claims=True)
    return 0


def sharing(xl: Invocation) -> int:
    """``xl sharing``: memory that domains share."""
    _, operands = xl.options("sharing")
    domains = _listed(xl, "sharing", operands)
    if domains is None:
        return 1
    xl.out("Name                                        ID   Mem Shared\n")
    for domain in domains:
        name = xl.name_of(domain.domid)
        xl.out(f"{name:<40} {domain.domid:5d} {domain.memory_kb // 1024:5d}  {0:5d}\n")
    return 0


def info(xl: Invocation) -> int:
    """``xl info``: the host and its hypervisor; one line of it with the beginning of its label."""
    options, operands = xl.options("info", "n", {"numa": "n"})
    numa = bool(options)
    wanted = operands[0] if operands and not numa else None
    for label, value in host_facts(xl.world):
        if numa and label == "xen_major":
            _print_numa(xl)
        line = f"{label:<23}: {value}" if label != "virt_caps" else f"{label:<23}:{value}"
        if wanted is None:
            xl.out(line + "\n")
        elif line.startswith(wanted) and ": " in line:
            xl.out(line[line.index(":") + 2 :] + "\n")
    return 0


def _print_numa(xl: Invocation) -> None:
    xl.out("cpu_topology           :\ncpu:    core    socket     node\n")
    for pcpu in range(xl.world.spec.pcpus):
        xl.out(f"{pcpu:3d}:    {0:4d}     {pcpu:4d}     {0:4d}\n")
    xl.out("device topology        :\ndevice           node\nNo device topology data available\n")
    total, free = xl.machine.total_kb // 1024, xl.machine.free_kb // 1024
    xl.out("numa_info              :\nnode:    memsize    memfree    distances\n")
    xl.out(f"{0:4d}:    {total:6d}     {free:6d}      10\n")


def domid(xl: Invocation) -> int:
    """``xl domid NAME``."""
    _, operands = xl.options("domid", required=1)
    domain = xl.world.domain_named(operands[0])
    if domain is None:
        xl.err(f"Can't get domid of domain name '{operands[0]}', maybe this domain does not exist.\n")
        return 1
    xl.out(f"{domain.domid}\n")
    return 0


def domname(xl: Invocation) -> int:
    """``xl domname ID``."""
    _, operands = xl.options("domname", required=1)
    digits = _leading_integer(operands[0])
    if digits is None:
        xl.err("Invalid domain id.\n\n")
        return 1
    name = xl.world.name_of(digits)
    if name is None:
        unsigned = digits & 0xFFFFFFFF
        xl.err(f"Can't get domain name of domain id '{unsigned}', maybe this domain does not exist.\n")
        return 1
    xl.out(f"{name}\n")
    return 0


def _leading_integer(text: str) -> int | None:
    """The number at the start of `text`, as strtol(text, ..., 10) reads it; None if there is none."""
    text = text.lstrip()
    end = 1 if text[:1] in ("+", "-") else 0
    while end < len(text) and text[end] in "0123456789":
        end += 1
    return int(text[:end]) if text[:end].strip("+-") else None


def uptime(xl: Invocation) -> int:
    """``xl uptime``: how long dom0 and the domains have been up."""
    options, operands = xl.options("uptime", "s")
    short = bool(options)
    domids = [xl.domid(name) for name in operands] or list(xl.machine.domains)
    if not short:
        xl.out(f"{'Name':<33} {'ID':>4} Uptime\n")
    for domid in domids:
        seconds = xl.world.uptime if domid == 0 else _seconds_up(xl, domid)
        if seconds is None:
            continue
        name = xl.name_of(domid)
        if short:
            xl.out(f" {xl.world.now:%H:%M:%S} up {_duration(int(seconds), True)}, {name} ({domid})\n")
        else:
            xl.out(f"{name:<33} {domid:4d} {_duration(int(seconds), False)}\n")
    return 0


def _seconds_up(xl: Invocation, domid: int) -> float | None:
    vm = xl.world.store.read(f"/local/domain/{domid}/vm")
    started = xl.world.store.read(f"{vm}/start_time") if vm else None
    if started is None:
        xl.log("libxl_domain.c:2231:libxl_vm_get_start_time", "Can't get start time of domain", domid)
        return None
    return int(xl.world.now.timestamp()) - int(float(started))


def _duration(seconds: int, short: bool) -> str:
    days, seconds = divmod(seconds, 86400)
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    text = f"{days} day{'s' if days > 1 else ''}, " if days else ""
    return f"{text}{hours:2d}:{minutes:02d}" + ("" if short else f":{seconds:02d}")


def vm_list(xl: Invocation) -> int:
    """``xl vm-list``."""
    xl.options("vm-list")
    xl.out("UUID                                  ID    name\n")
    for domain in xl.machine.domains.values():
        xl.out(f"{domain.uuid}  {domain.domid}    {xl.name_of(domain.domid):<30}\n")
    return 0


def dmesg(xl: Invocation) -> int:
    """``xl dmesg``: the hypervisor's own log."""
    options, _ = xl.options("dmesg", "c", {"clear": "c"})
    if options:
        raise NotSimulated("xl dmesg -c")
    xl.out(boot_log(xl.world) + xl.world.xen_log)
    return 0
