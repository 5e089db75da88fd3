"""xl vcpu-list, vcpu-set, vcpu-pin (xl_vcpu.c), and how sets of pCPUs are written (parse_cpurange)."""

from __future__ import annotations

import re
from collections.abc import Callable

from xenlab.hosts.sim.libxl_log import LibxlError
from xenlab.hosts.sim.machine import Domain
from xenlab.hosts.sim.toolstack import set_affinity
from xenlab.hosts.sim.xl.invocation import Invocation


class BadRangeError(Exception):
    """A set of pCPUs that does not parse; its message is for standard error."""


def parse_cpus(text: str, pcpus: int) -> frozenset[int]:
    """The pCPUs that ``0-3,^1`` and the like stand for; numbers that the machine's bitmap cannot hold are
    dropped.

    >>> sorted(parse_cpus("0-3,^1", 8))
    [0, 2, 3]
    """
    bits = (pcpus + 7) // 8 * 8  # libxl's bitmaps are whole bytes
    chosen: set[int] = set()
    for part in filter(None, text.split(",")):
        word = part
        remove = word.startswith("^")
        word = word.removeprefix("^")
        nodes = re.match("nodes?:", word)
        word = word[nodes.end() :] if nodes else word
        if word == "all":
            if remove:
                raise BadRangeError('Can\'t combine "^" and "all".')
            chosen |= set(range(bits))
            continue
        match = re.fullmatch(r"\s*\+?(\d+)(?:-\s*\+?(\d+))?", word)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first:
            raise BadRangeError(f"Invalid pcpu range: {word}.")
        if nodes:
            meant = set(range(pcpus)) if first == 0 else set()  # the simulated machine has one NUMA node
        else:
            meant = set(range(first, min(last, bits - 1) + 1))
        chosen = chosen - meant if remove else chosen | meant
    return frozenset(chosen)


def show_cpus(chosen: frozenset[int], pcpus: int) -> str:
    """A set of pCPUs as xl prints it.

    >>> show_cpus(frozenset({0, 1}), 2), show_cpus(frozenset({0, 2, 3}), 4), show_cpus(frozenset(), 2)
    ('all', '0,2-3', 'none')
    """
    inside = sorted(chosen & frozenset(range(pcpus)))
    if not inside:
        return "none"
    if len(inside) == pcpus:
        return "all"
    ranges: list[list[int]] = []
    for pcpu in inside:
        if ranges and ranges[-1][1] == pcpu - 1:
            ranges[-1][1] = pcpu
        else:
            ranges.append([pcpu, pcpu])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def vcpu_list(xl: Invocation) -> int:
    """``xl vcpu-list``."""
    _, operands = xl.options("vcpu-list")
    xl.machine.account()
    title = (
        f"{'Name':<32} {'ID':>5} {'VCPU':>5} {'CPU':>5} {'State':>5} {'Time(s)':>9} Affinity (Hard / Soft)"
    )
    xl.out(title + "\n")
    if not operands:
        for domain in xl.machine.domains.values():
            _print_vcpus(xl, domain)
    for name in operands:
        domid = xl.domid(name)
        found = xl.domain(domid)
        if found is None:
            where = "libxl_domain.c:1667:libxl_list_vcpu"
            xl.log(where, "Getting infolist", domid, "No such file or directory")
        else:
            _print_vcpus(xl, found)
    return 0


def _print_vcpus(xl: Invocation, domain: Domain) -> None:
    pcpus = xl.world.spec.pcpus
    for number, vcpu in enumerate(domain.vcpus):
        row = f"{xl.name_of(domain.domid):<32} {domain.domid:5d} {number:5d}"
        running = vcpu.running or domain.domid == number == 0  # xl itself is running there
        if vcpu.online:
            blocked = vcpu.blocked and not running
            row += f"{vcpu.pcpu:5d} {'r' if running else '-':>3}{'b' if blocked else '-'}- "
        else:
            row += f"{'-':>5} {'-':>3}-p "
        row += f"{vcpu.seconds:9.1f}  {show_cpus(vcpu.hard_affinity, pcpus)}"
        xl.out(f"{row} / {show_cpus(vcpu.soft_affinity, pcpus)}\n")


def vcpu_set(xl: Invocation) -> int:
    """``xl vcpu-set``: how many vCPUs the guest is to use."""
    options, operands = xl.options("vcpu-set", "i", {"ignore-host": "i"}, required=2)
    domid = xl.domid(operands[0])
    match = re.match(r"\s*[+-]?\d+", operands[1])
    count = int(match[0]) & 0xFFFFFFFFFFFFFFFF if match else -1
    if not match or count > 0x7FFFFFFF:
        xl.err("Error: Invalid argument.\n")
        return 1
    domain = xl.domain(domid)
    if not options:
        if domain is None:
            return 1
        pcpus = xl.world.spec.pcpus
        if count > domain.online_vcpus and count > pcpus:
            xl.err(
                f"You are overcommmitting! You have {pcpus} physical CPUs and want {count} vCPUs!"
                " Aborting, use --ignore-host to continue\n"
            )
            return 1
    return _set_online(xl, domid, domain, count)


def _set_online(xl: Invocation, domid: int, domain: Domain | None, count: int) -> int:
    where = "libxl_set_vcpuonline"
    if domain is None:
        xl.log(f"libxl_domain.c:1856:{where}", "Getting domain info list", domid, "Success")
        xl.err(f"Domain {domid} does not exist.\n")
        return 1
    most = len(domain.vcpus)
    if 1 <= count <= most:
        for vcpu in range(most):
            state = "online" if vcpu < count else "offline"
            xl.world.store.write(f"/local/domain/{domid}/cpu/{vcpu}/availability", state)
        return 0
    if count == 0:
        xl.log(f"libxl_domain.c:1863:{where}", "Requested 0 VCPUs!", domid, "Function not implemented")
    else:
        text = f"Requested {count} VCPUs, however maxcpus is {most}!"
        xl.log(f"libxl_domain.c:1869:{where}", text, domid, "Success")
    xl.err(f"libxl_set_vcpuonline failed domid={domid} max_vcpus={count}, rc: -3\n")
    return 1


def vcpu_pin(xl: Invocation) -> int:
    """``xl vcpu-pin DOMAIN VCPU|all HARD [SOFT]``; ``-`` leaves an affinity as it is."""
    long = {"force": "f", "ignore-global-affinity-masks": "i"}
    options, operands = xl.options("vcpu-pin", "fi", long, required=3)
    force = ("f", "") in options
    domid = xl.domid(operands[0])
    match = re.match(r"\s*\+?\d+", operands[1])
    if not match and operands[1] != "all":
        xl.err(f"Error: Invalid argument {operands[1]} as VCPU.\n")
        return 1
    if not match and force:
        xl.err("Error: --force and 'all' as VCPU not allowed.\n")
        return 1
    masks: list[frozenset[int] | None] = []
    for text in (operands[2], operands[3] if len(operands) > 3 else "-"):
        try:
            masks.append(None if text == "-" else parse_cpus(text, xl.world.spec.pcpus))
        except BadRangeError as bad:
            xl.err(f"{bad}\n")
            return 1
    if xl.dry_run:
        return _show_masks(xl, masks)
    return _pin(xl, domid, int(match[0]) if match else None, *masks)


def _show_masks(xl: Invocation, masks: list[frozenset[int] | None]) -> int:
    hard, soft = ("-" if mask is None else show_cpus(mask, xl.world.spec.pcpus) for mask in masks)
    xl.out(f"cpumap: {hard}" + ("" if masks[1] is None else f" {soft}") + "\n")
    return 0


def _pin(
    xl: Invocation, domid: int, vcpu: int | None, hard: frozenset[int] | None, soft: frozenset[int] | None
) -> int:
    domain = xl.domain(domid)
    if hard is not None:
        if domain is None:
            xl.err("Could not get domain info\n")
            return 1
        if not hard:
            xl.err("vcpu hard affinity map is empty\n")
            return 1
    if domain is None:
        xl.log("libxl_sched.c:62:libxl__set_vcpuaffinity", "Setting vcpu affinity", domid, "No such process")
        xl.err(f"Could not set affinity for vcpu `{vcpu}'.\n")
        return 1

    def pin(number: int) -> bool:
        try:
            set_affinity(xl.world, domain, number, hard, soft, xl.err)
        except LibxlError:
            return False
        return True

    if vcpu is not None:
        if pin(vcpu):
            return 0
        xl.err(f"Could not set affinity for vcpu `{vcpu}'.\n")
        return 1
    _pin_all(xl, domain, pin)
    return 0


def _pin_all(xl: Invocation, domain: Domain, pin: Callable[[int], bool]) -> None:
    failed = [number for number in range(len(domain.vcpus)) if not pin(number)]
    for number in failed:
        xl.err(
            "libxl: warning: libxl_sched.c:124:libxl_set_vcpuaffinity_all: "
            f"Domain {domain.domid}:Failed to set affinity for {number}\n"
        )
    if failed:
        xl.err("Could not set affinity.\n")
