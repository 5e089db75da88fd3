"""xentop -b: what domains use of the machine, interval by interval (tools/xenstat/xentop/xentop.c)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xenlab.hosts.sim.getopt import BadOption, parse_options
from xenlab.hosts.sim.machine import Domain
from xenlab.hosts.sim.process import NotSimulated, Process
from xenlab.hosts.sim.world import World
from xenlab.hosts.sim.xl.sched import c_int

LONG = {
    "help": "h",
    "version": "V",
    "networks": "n",
    "vbds": "x",
    "repeat-header": "r",
    "vcpus": "v",
    "delay": "d",
    "batch": "b",
    "iterations": "i",
    "full-name": "f",
}
COLUMNS = (  # heading and width
    ("NAME", 10),
    ("STATE", 6),
    ("CPU(sec)", 10),
    ("CPU(%)", 6),
    ("MEM(k)", 10),
    ("MEM(%)", 6),
    ("MAXMEM(k)", 10),
    ("MAXMEM(%)", 9),
    ("VCPUS", 5),
    ("NETS", 4),
    ("NETTX(k)", 8),
    ("NETRX(k)", 8),
    ("VBDS", 4),
    ("VBD_OO", 8),
    ("VBD_RD", 8),
    ("VBD_WR", 8),
    ("VBD_RSECT", 10),
    ("VBD_WSECT", 10),
    ("SSID", 4),
)
USAGE = """Usage: {} [OPTION]
Displays ongoing information about xen vm resources \n
-h, --help           display this help and exit
-V, --version        output version information and exit
-d, --delay=SECONDS  seconds between updates (default 3)
-n, --networks       output vif network data
-x, --vbds           output vbd block device data
-r, --repeat-header  repeat table header before each domain
-v, --vcpus          output vcpu data
-b, --batch\t     output in batch mode, no user input accepted
-i, --iterations     number of iterations before exiting
-f, --full-name      output the full domain name (not truncated)

Report bugs to <xen-devel@lists.xen.org>.
"""
VERSION = """xentop 1.0
Written by Judy Fischbach, David Hendricks, Josh Triplett

Copyright (C) 2005  International Business Machines  Corp
This is free software; see the source for copying conditions.There is NO
warranty; not even for MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE.
"""


@dataclass(frozen=True)
class Sample:
    """When somebody looked (s), and the processor time that each domain had had then (s)."""

    time: float
    seconds: dict[int, float]

    @classmethod
    def take(cls, world: World) -> Sample:
        """Look now."""
        world.machine.account()
        return cls(world.env.now, {domid: domain.seconds for domid, domain in world.machine.domains.items()})


def xentop(world: World, process: Process) -> int:
    """Print a table of domains, every -d seconds, -i times; without -b it needs a terminal."""
    try:
        options, _ = parse_options(process.argv[1:], "hVnxrvd:bi:f", LONG)
    except BadOption as bad:
        process.err(f"{process.argv[0]}: {bad.text}\n")
        options = [("h", "")]
    given = dict(options)
    if given.keys() & {"h", "V"}:
        process.out(VERSION if "V" in given else USAGE.format(process.argv[0]))
        return 0
    iterations = c_int(given.get("i", "0"))
    if "b" not in given or iterations < 1 or given.keys() & {"n", "x", "r"}:
        raise NotSimulated(f"{' '.join(process.argv)} (only -b -i COUNT, with -d, -f and -v)")
    before: Sample | None = None
    for number in range(iterations):
        if number:
            world.pass_time(c_int(given.get("d", "3")))
        now = Sample.take(world)
        _print_table(world, process, before, now, full_names="f" in given, vcpus="v" in given)
        before = now
    return 0


def _print_table(
    world: World, process: Process, before: Sample | None, now: Sample, full_names: bool, vcpus: bool
) -> None:
    widths = [width for _, width in COLUMNS]
    process.out(" ".join(f"{heading:>{width}}" for heading, width in COLUMNS) + "\n")
    names = {domid: world.name_of(domid) or "" for domid in world.machine.domains}
    for domid, name in sorted(names.items(), key=lambda item: item[1].lower()):
        domain = world.machine.domains[domid]
        cells = [name if full_names else name[:10], _state(domain), *_figures(world, domain, before, now)]
        process.out(" ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)) + "\n")
        if vcpus:
            process.out(f"VCPUs(sec): {_vcpu_seconds(domain)}\n")


def _vcpu_seconds(domain: Domain) -> str:
    online = [(number, vcpu) for number, vcpu in enumerate(domain.vcpus) if vcpu.online]
    return "".join(f" {number:2d}: {int(vcpu.seconds):10d}s" for number, vcpu in online)


def _state(domain: Domain) -> str:
    online = [vcpu for vcpu in domain.vcpus if vcpu.online]
    running = domain.domid == 0 or any(vcpu.running for vcpu in online)
    states = (
        ("d", False),
        ("s", domain.shutdown_reason is not None),
        ("b", not running and all(vcpu.blocked for vcpu in online)),
        ("c", False),
        ("p", domain.pauses > 0),
        ("r", running),
    )
    return "".join(letter if holds else "-" for letter, holds in states)


def _figures(world: World, domain: Domain, before: Sample | None, now: Sample) -> list[str]:
    total_kb = world.machine.total_kb
    percent = 0.0
    if before is not None and domain.domid in before.seconds:
        used = now.seconds[domain.domid] - before.seconds[domain.domid]
        percent = 100 * used / (now.time - before.time)
    home = f"/local/domain/{domain.domid}/device"
    nets, vbds = (len(world.store.names(f"{home}/{kind}") or []) for kind in ("vif", "vbd"))
    most = domain.max_memory_kb or domain.memory_kb  # dom0's is what Xen gave it when it booted
    return [
        str(int(now.seconds[domain.domid])),
        f"{percent:.1f}",
        str(domain.memory_kb),
        f"{100 * domain.memory_kb / total_kb:.1f}",
        str(most),
        f"{100 * most / total_kb:.1f}",
        str(domain.online_vcpus),
        *(str(nets), "0", "0"),
        *(str(vbds), "0", "0", "0", "0", "0"),
        "0",
    ]


PROGRAMS: dict[str, Callable[[World, Process], int]] = {"xentop": xentop}
