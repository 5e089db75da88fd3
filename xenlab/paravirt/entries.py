"""How often a real PV guest enters Xen, and for what, counted from Xen's own trace.

For every PV guest Xen notes hypercalls by number, faults that it looks at, instructions that it emulates, and writes to
page tables that it does for the guest (xen/include/public/trace.h, TRC_PV; xen/arch/x86/pv/trace.c, at
RELEASE-4.17.7). ``xentrace`` copies the notes into a file, which `xenlab.fullvirt.xentrace` takes apart. Which domain
ran follows from the scheduler's notes.

A program's system calls are not noted on their way through Xen to the guest's kernel. But each of them ends with the
hypercall *iret*, as faults and events do; *iret* counts them all together.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from xenlab.commands import Commands
from xenlab.fullvirt.xentrace import records
from xenlab.paravirt.hypercalls import NAMES

#: TRC_PV, and of TRC_SCHED the switches (subclass 8).
MASK = 0x0020F000 | 0x00028000
#: Pages of Xen's buffer for each processor.
PAGES = "512"
_FILE = "/tmp/xenlab-entries.trace"
#: A switch from one vCPU to another, with both; and a hypercall, with its number.
SWITCH, HYPERCALL = 0x2800A, 0x20100D
_LOST, _CLASS = 0x1F001, 0x201000
#: Numbers of the notes within their class, and what they stand for.
KINDS = {
    0x03: "exception handed on",
    0x04: "page fault",
    0x05: "cpuid that asks Xen",
    0x06: "instruction emulated",
    0x08: "floating-point registers restored",
    0x09: "page fault of Xen's own making",
    0x0A: "segment table mapped",
    0x0B: "write to a page table emulated",
}


@dataclass(frozen=True)
class Entries:
    """A domain's entries into Xen in a trace: by kind, with the trace's length in cycles, and what Xen has lost of it.

    `places` counts emulated instructions by their address in the guest.
    """

    by_kind: Counter[str]
    places: Counter[int]
    cycles: int
    lost: int

    @property
    def total(self) -> int:
        """All entries."""
        return sum(self.by_kind.values())


def entries(data: bytes, domid: int) -> Entries:
    """Count a domain's entries in a trace file."""
    by_kind: Counter[str] = Counter()
    places: Counter[int] = Counter()
    running: dict[int, int] = {}
    first = last = lost = 0
    for record in records(data):
        if record.event == _LOST:
            lost += record.words[0]
            continue
        last = max(last, record.cycles)
        first = min(first or record.cycles, record.cycles or first)
        if record.event == SWITCH:
            running[record.cpu] = record.words[2]
        elif record.event & ~0xFFF == _CLASS and running.get(record.cpu) == domid:
            number = record.event & 0xFF
            if record.event == HYPERCALL:
                call = record.words[0] & 0xFFFFF
                by_kind[f"hypercall {NAMES.get(call, call)}"] += 1
            else:
                by_kind[KINDS.get(number, f"event {number:#x}")] += 1
            if number == 0x06:
                places[record.words[0] | record.words[1] << 32] += 1
    return Entries(by_kind, places, last - first, lost)


def arm(host: Commands) -> None:
    """Let Xen begin to note entries, into its own buffer; `trace` then takes what has come meanwhile, too.

    What a guest does in its first moments is seen only so: ``xentrace`` takes a while to start.
    """
    _run(host, 1, "-D", "-x")


def trace(host: Commands, seconds: int) -> bytes:
    """Let Xen note entries for so many seconds, and return the trace file.

    Raises `CommandFailed` where ``xentrace`` is not there, or cannot.
    """
    return _run(host, seconds)


def _run(host: Commands, seconds: int, *options: str) -> bytes:
    try:
        host.run(["xentrace", *options, "-S", PAGES, "-e", f"{MASK:#x}", "-T", str(seconds), _FILE])
        return host.get(_FILE)
    finally:
        host.run(["rm", "-f", _FILE])
