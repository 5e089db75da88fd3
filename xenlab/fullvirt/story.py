"""What a reader sees of a monitor at work: one exit after the other, and what the shadows hold meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from xenlab.emulation.isa import ENABLED, STATUS
from xenlab.emulation.mmu import PRESENT, USER, WRITABLE
from xenlab.fullvirt.guestos import image
from xenlab.fullvirt.monitor import Exit, Monitor
from xenlab.fullvirt.trapping import TrapAndEmulate


@dataclass(frozen=True)
class Moment:
    """One exit, the guest's machine after it, all exits so far, and what its console shows."""

    exit: Exit
    supervisor: bool
    interrupts: bool
    root: int
    counts: Counter[str]
    console: str


def moments(monitor: Monitor, limit: int = 100_000) -> Iterator[Moment]:
    """Run a guest that has been loaded, exit by exit, until its machine stops."""
    stop = None
    while stop is None and monitor.retired < limit:
        before = len(monitor.log)
        stop = monitor.step(limit)
        virtual = monitor.virtual
        for each in monitor.log[before:]:
            yield Moment(
                each,
                virtual.supervisor,
                bool(virtual.special[STATUS] & ENABLED),
                virtual.mmu.root,
                Counter(monitor.exits),
                monitor.console,
            )


#: The first task of the book's guest: its root table, and the table and the pages of its heap.
TASK, HEAP_TABLE, HEAP, HEAP_PAGES = 0x14, 0x170, 0x900, 6
_ABOUT_PAGES = {
    "page fault of the guest's": "fault",
    "write to a page table": "write",
    "page missing in the shadow": "fill",
}


@dataclass(frozen=True)
class Look:
    """The task's heap at one moment: for each page the guest's entry, the real frame, and the shadow's entry.

    `what` is ``fault``, ``write`` or ``fill``, and `page` the number of the page that it is about.
    """

    what: str
    page: int
    at: int
    guest: tuple[int, ...]
    real: tuple[int | None, ...]
    shadow: tuple[int, ...]


def heap(limit: int = 100_000) -> list[Look]:
    """Run the book's guest and look at its first task's heap whenever an exit is about it.

    >>> [look.what for look in heap()[:4]]
    ['fault', 'fill', 'fault', 'write']
    """
    monitor = TrapAndEmulate()
    monitor.load(image())
    looks = []
    stop = None
    while stop is None and monitor.retired < limit:
        in_task = monitor.virtual.mmu.root == TASK
        before = len(monitor.log)
        stop = monitor.step(limit)
        for each in monitor.log[before:]:
            page = _page(monitor, each) if in_task and each.reason in _ABOUT_PAGES else None
            if page is not None:
                looks.append(_look(monitor, _ABOUT_PAGES[each.reason], page, each.at))
    return looks


def _page(monitor: TrapAndEmulate, each: Exit) -> int | None:
    """The number of the heap's page that an exit is about."""
    if each.about is None:
        return None
    start, step = (HEAP_TABLE, 1) if each.reason == "write to a page table" else (HEAP, 16)
    page = (each.about - start) // step
    return page if 0 <= page < HEAP_PAGES else None


def _look(monitor: TrapAndEmulate, what: str, page: int, at: int) -> Look:
    guest = tuple(monitor.memory[HEAP_TABLE + n] for n in range(HEAP_PAGES))
    real = tuple(monitor.memory.p2m[entry >> 4] if entry & PRESENT else None for entry in guest)
    shadow = tuple(monitor.shadow.entry(TASK, False, HEAP + 16 * n) for n in range(HEAP_PAGES))
    return Look(what, page, at, guest, real, shadow)


def flags(entry: int) -> str:
    """An entry's flags as letters.

    >>> flags(0x205), flags(0)
    ('P U', '')
    """
    letters = (("P", PRESENT), ("W", WRITABLE), ("U", USER))
    return " ".join(letter for letter, bit in letters if entry & bit)
