"""``xentrace`` in the simulated dom0: a trace file in which PVH guests enter and exit as those of the box do.

What PV guests do is in `xentrace_pv`.

How often a guest exits, and why, was counted on the box with Debian's kernel; see the tables below. What a boot
consists of most is reading a timer that a PVH guest does not have: 50,002 times two reads of port 0x42, each answered
by all ones (Linux, arch/x86/kernel/tsc.c, quick_pit_calibrate).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from xenlab.hosts.sim import xentrace_pv
from xenlab.hosts.sim.getopt import BadOption, parse_options
from xenlab.hosts.sim.guest import Guest
from xenlab.hosts.sim.machine import Domain
from xenlab.hosts.sim.process import NotSimulated, Process
from xenlab.hosts.sim.world import World

_LONG = {
    "discard-buffers": "D",
    "evt-mask": "e",
    "time-interval": "T",
    "trace-buf-size": "S",
    "dont-disable-tracing": "x",
}
_IO, _PIT, _OPEN_BUS = 0x7B, 0x42, 0xFFFF_FFFF
#: Exits while a guest boots, by the processor's code; and accesses to ports, each an exit of its own.
BOOT = {0x81: 592, 0x7C: 476, 0x60: 470, 0x72: 254, 0x78: 30, 0x14: 63, 0x64: 31, 0x89: 4, 0x400: 4}
BOOT_PORTS = {("read", _PIT): 2 * 50_002, ("write", 0xCF8): 42, ("read", 0xCFE): 32, ("write", 0xE9): 10}
#: Exits a second of a guest that is up, by what it does.
EACH_SECOND: dict[str, dict[int, float]] = {
    "idle": {0x81: 14, 0x7C: 7, 0x78: 7, 0x60: 0.2, 0x64: 0.2},
    "burn": {0x60: 330, 0x81: 220, 0x7C: 220},
    "dirty": {0x72: 33, 0x81: 25, 0x7C: 16, 0x78: 11, 0x60: 7, 0x64: 1},
    "clock": {0x81: 93, 0x7C: 51, 0x78: 40, 0x60: 11, 0x64: 5},
}


def xentrace(world: World, process: Process) -> int:
    """Write what PVH guests do for -T SECONDS to a file (tools/xentrace/xentrace.c)."""
    try:
        options, operands = parse_options(process.argv[1:], "De:T:S:x", _LONG)
    except BadOption:
        raise NotSimulated(" ".join(process.argv)) from None
    given = dict(options)
    if len(operands) != 1 or not given.get("T", "").isdigit():
        raise NotSimulated(" ".join(process.argv))
    if "e" in given:
        process.err(f"change evtmask to {int(given['e'], 0):#x}\n")
    mask = int(given.get("e", "-1"), 0)
    booting = {domid for domid, domain in _guests(world) if not _guest(domain).state.booted}
    start, seconds = world.uptime, int(given["T"])
    world.pass_time(seconds)
    hertz = world.spec.cpu_khz * 1000
    parts = []
    for domid, domain in _guests(world):
        when = (domid in booting, int(start * hertz), seconds, hertz)
        if domain.type == "pvh":
            parts.append(_domain(domid, domain, *when))
        elif xentrace_pv.wanted(mask):
            parts.append(xentrace_pv.notes(_guest(domain), domid, *when))
    data = b"".join(parts)
    world.files.write(operands[0], data)
    return 0


def _guests(world: World) -> Iterator[tuple[int, Domain]]:
    for domid, domain in world.machine.domains.items():
        if domain.runnable and isinstance(domain.load, Guest):
            yield domid, domain


def _guest(domain: Domain) -> Guest:
    assert isinstance(domain.load, Guest)
    return domain.load


def _domain(domid: int, domain: Domain, booting: bool, start: int, seconds: int, hertz: int) -> bytes:
    """The records of one domain: it comes to run on processor 0, and exits again and again."""
    guest = _guest(domain)
    made = [struct.pack("<III", 2 << 28 | 0x1F003, 0, 0), _record(0x21101, start, domid << 16)]
    exits: list[tuple[int, tuple[str, int] | None]] = []
    if booting and guest.state.booted:
        exits += [(_IO, port) for port, count in BOOT_PORTS.items() for _ in range(count)]
        exits += [(code, None) for code, count in BOOT.items() for _ in range(count)]
    rates = EACH_SECOND.get(guest.workload.split(":")[0], EACH_SECOND["idle"])
    if guest.state.booted:
        exits += [(code, None) for code, rate in rates.items() for _ in range(round(rate * seconds))]
    step = seconds * hertz // max(1, len(exits))
    for number, (code, port) in enumerate(exits):
        cycles = start + number * step
        made.append(_record(0x81102, cycles, code, 0x8103B16C, 0xFFFFFFFF))
        if port is not None:
            event = 0x82016 if port[0] == "read" else 0x82216
            made.append(_record(event, cycles, port[1], _OPEN_BUS if port[0] == "read" else 0))
        made.append(_record(0x81001, cycles + 1))
    return b"".join(made)


def _record(event: int, cycles: int, *words: int) -> bytes:
    return struct.pack(f"<IQ{len(words)}I", 1 << 31 | len(words) << 28 | event, cycles, *words)


PROGRAMS = {"xentrace": xentrace}
