"""Xen's own trace: what ``xentrace`` writes, read record by record, and the exits of real guests counted from it.

Xen can note what it does in a buffer for each processor, and ``xentrace`` copies these into a file. A record is a
32-bit word, an optional cycle counter, and up to seven words of data, all little-endian (Xen 4.17,
xen/include/public/trace.h). For every guest with hardware assistance there is a record when the processor enters the
guest and when it exits, the latter with the reason as the processor gives it: on AMD the exit code of the VMCB
(xen/arch/x86/include/asm/hvm/svm/vmcb.h), on Intel the exit reason of the VMCS. Which domain that was follows from the
scheduler's records.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from xenlab.commands import Commands

#: Exits and entries, what was done about them, and who runs: TRC_HVM's and TRC_SCHED's subclasses 1 and 2.
MASK = 0x000A3000
#: Pages of Xen's buffer for each processor: enough for a guest that does little else but exit.
PAGES = "256"
_LOST, _WRAP, _CPU = 0x1F001, 0x1F002, 0x1F003
_RUNSTATE = 0x21001
_EXIT, _EXIT_64 = 0x81002, 0x81102
_PORT_READ, _PORT_WRITE = 0x82016, 0x82216


@dataclass(frozen=True)
class Record:
    """One record: the physical processor, its cycle counter (0 if there is none), the event's number, its words."""

    cpu: int
    cycles: int
    event: int
    words: tuple[int, ...]


def records(data: bytes) -> Iterator[Record]:
    """Take a trace file apart; a record that is cut off at its end is left out.

    >>> cpu = struct.pack("<III", 2 << 28 | 0x1F003, 1, 0)
    >>> halted = struct.pack("<IQIII", 1 << 31 | 3 << 28 | 0x81102, 5000, 0x78, 0x1000, 0)
    >>> [(each.cpu, each.cycles, hex(each.event), each.words) for each in records(cpu + halted)]
    [(1, 5000, '0x81102', (120, 4096, 0))]
    """
    at = cpu = 0
    while at + 4 <= len(data):
        (head,) = struct.unpack_from("<I", data, at)
        words, timed = head >> 28 & 7, head >> 31
        end = at + 4 + 8 * timed + 4 * words
        if end > len(data):
            return
        cycles = struct.unpack_from("<Q", data, at + 4)[0] if timed else 0
        found = struct.unpack_from(f"<{words}I", data, end - 4 * words)
        at = end
        if head & 0xFFFFFFF == _CPU:
            cpu = found[0]
        else:
            yield Record(cpu, cycles, head & 0xFFFFFFF, found)


@dataclass(frozen=True)
class Exits:
    """The exits of one domain in a trace.

    `by_code` counts them by the processor's code, `ports` the guest's accesses to each port; `cycles` is the length of
    the trace by the processor's counter, and `lost` the records that Xen could not keep.
    """

    by_code: Counter[int]
    ports: Counter[tuple[str, int]]
    cycles: int
    lost: int

    @property
    def total(self) -> int:
        """All exits."""
        return sum(self.by_code.values())

    @property
    def by_reason(self) -> Counter[str]:
        """The exits by their reasons in words, those for which there is none by their codes."""
        names = AMD if any(code >= min(AMD) for code in self.by_code) else INTEL
        named: Counter[str] = Counter()
        for code, count in self.by_code.items():
            named[reason(code, names)] += count
        return named


def exits(data: bytes, domid: int) -> Exits:
    """Count a domain's exits in a trace file."""
    by_code: Counter[int] = Counter()
    ports: Counter[tuple[str, int]] = Counter()
    cycles: list[int] = []
    lost = 0
    for record in _of_domain(records(data), domid):
        if record.event == _LOST:
            lost += record.words[0]
            continue
        if record.cycles:
            cycles.append(record.cycles)
        if record.event in (_EXIT, _EXIT_64):
            by_code[record.words[0] & 0x7FFF_FFFF] += 1
        elif record.event in (_PORT_READ, _PORT_WRITE):
            ports["read" if record.event == _PORT_READ else "write", record.words[0]] += 1
    return Exits(by_code, ports, max(cycles, default=0) - min(cycles, default=0), lost)


def _of_domain(found: Iterable[Record], domid: int) -> Iterator[Record]:
    """Records made while this domain ran, and those that tell of losses.

    A processor of which nothing is known yet is taken to run the domain: only guests with hardware assistance have
    exits, and mostly there is one.
    """
    running: dict[int, int] = {}
    for record in found:
        # TRC_SCHED_RUNSTATE_CHANGE with the old and the new state in two digits; 0 is running
        if record.event & 0xFFFFF00F == _RUNSTATE and record.words and not record.event & 0x30:
            running[record.cpu] = record.words[0] >> 16
        elif record.event == _LOST or running.get(record.cpu, domid) == domid:
            yield record


def trace(host: Commands, seconds: int, path: str = "/tmp/xenlab-exits.trace") -> bytes:
    """Let Xen note exits for so many seconds, and return the trace file; whoever else runs ``xentrace`` is in the way.

    Raises `CommandFailed` where ``xentrace`` is not there, or cannot.
    """
    try:
        host.run(["xentrace", "-D", "-S", PAGES, "-e", f"{MASK:#x}", "-T", str(seconds), path])
        return host.get(path)
    finally:
        host.run(["rm", "-f", path])


#: Exit codes of AMD's VMCB that guests of today cause; control registers and exceptions are computed.
AMD = {
    0x60: "interrupt for Xen",
    0x61: "NMI",
    0x64: "the guest can take an interrupt now",
    0x6E: "rdtsc",
    0x72: "cpuid",
    0x77: "pause",
    0x78: "hlt",
    0x79: "invlpg",
    0x7B: "port input or output",
    0x7C: "model-specific register",
    0x7F: "shutdown",
    0x81: "hypercall (vmmcall)",
    0x89: "wbinvd",
    0x8B: "mwait",
    0x8D: "xsetbv",
    0x400: "page missing in the nested table",
}
#: Exit reasons of Intel's VMCS (Intel SDM volume 3, appendix C).
INTEL = {
    0: "exception",
    1: "interrupt for Xen",
    7: "the guest can take an interrupt now",
    10: "cpuid",
    12: "hlt",
    14: "invlpg",
    16: "rdtsc",
    18: "hypercall (vmcall)",
    28: "control register",
    29: "debug register",
    30: "port input or output",
    31: "model-specific register",
    32: "model-specific register",
    40: "pause",
    48: "page missing in the nested table",
    52: "the guest's time is up",
    54: "wbinvd",
    55: "xsetbv",
}


def reason(code: int, names: dict[int, str]) -> str:
    """A code in words.

    >>> reason(0x78, AMD), reason(0x14, AMD), reason(0x47, AMD), reason(12, INTEL), reason(999, INTEL)
    ('hlt', 'control register', 'exception', 'hlt', 'code 0x3e7')
    """
    if code in names:
        return names[code]
    if names is AMD and code < 0x20:
        return "control register"
    if names is AMD and code < 0x40:
        return "debug register"
    if names is AMD and code < 0x60:
        return "exception"
    return f"code {code:#x}"
