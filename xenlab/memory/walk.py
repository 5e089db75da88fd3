"""The way of an address: from guest virtual, by the guest's page tables, to the machine.

In a **PV** guest the tables hold machine frames. The processor takes four steps, and is there. What the page is called
in the guest, its pseudo-physical number, is nowhere on this way: the m2p tells it afterwards.

In a **PVH or HVM** guest the tables hold the guest's own page numbers. So each of the four, and the page in the end, is
looked up in tables of a second stage, which Xen keeps: five times four steps, and four reads of the guest's own tables.
That makes 24 where a PV guest needs 4.

Source: AMD64 Architecture Programmer's Manual, volume 2, sections 5.3 (long mode) and 15.25 (nested paging).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xenlab.commands import XenlabError
from xenlab.memory.entries import LEVELS, Entry, Flag, slots

#: Something that reads the entry number `slot` of the table in a frame.
Read = Callable[[int, int], Entry]
#: Pages that one entry maps, by its level, where it maps pages itself.
_SPAN = {1: 1, 2: 512, 3: 512 * 512}


class NotMapped(XenlabError):
    """An address that the guest's page tables do not map; `walk` holds the steps up to there."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        last = walk.steps[-1]
        super().__init__(
            f"address(={walk.address:#x}) must be mapped: entry {last.slot} of the L{last.level} table in frame "
            f"{last.table:#x} is not present"
        )


@dataclass(frozen=True)
class Step:
    """One read of a page table: which table (by frame), which entry of it, and what stood there.

    `stage` is 1 for a table of the guest, 2 for one by which the host translates the guest's page numbers.
    """

    stage: int
    level: int
    table: int
    slot: int
    entry: Entry


@dataclass(frozen=True)
class Walk:
    """A whole way: the address, the steps, and where it ends: the frame, and the page that this is to the guest."""

    address: int
    steps: tuple[Step, ...]
    mfn: int | None = None
    pfn: int | None = None

    @property
    def machine_address(self) -> int:
        """Where the byte is in the machine."""
        assert self.mfn is not None
        return self.mfn << 12 | self.address & 0xFFF

    @property
    def writable(self) -> bool:
        """May it be written? Only if every level says so."""
        return all(step.entry.writable for step in self.steps if step.stage == 1)


def direct(address: int, root: int, read: Read, page_of: Callable[[int], int | None]) -> Walk:
    """Walk a PV guest's tables, from the root in the frame `root`; `page_of` is the m2p.

    Raises `NotMapped` if there is nothing at that address.

    >>> tables = {(1, 511): 2, (2, 510): 3, (3, 8): 4, (4, 0): 9}
    >>> walk = direct(0xFFFFFFFF81000123, 1, lambda t, s: Entry(tables[t, s], Flag.PRESENT), {9: 5}.get)
    >>> hex(walk.machine_address), walk.pfn, len(walk.steps)
    ('0x9123', 5, 4)
    """
    steps: list[Step] = []
    mfn = _descend(address, root, read, steps, stage=1)
    return Walk(address, tuple(steps), mfn, page_of(mfn))


def nested(address: int, root: int, read: Read, host_root: int, host_read: Read) -> Walk:
    """Walk a PVH guest's tables, whose root is the guest's page `root`, through the host's, whose root is a frame.

    `read` reads a guest's table by the *frame* it lies in. Raises `NotMapped` if either has nothing there.
    """
    steps: list[Step] = []

    def frame_of(gfn: int) -> int:
        return _descend(gfn << 12, host_root, host_read, steps, stage=2)

    def through(gfn: int, slot: int) -> Entry:
        return read(frame_of(gfn), slot)

    gfn = _descend(address, root, through, steps, stage=1)
    mfn = frame_of(gfn)
    return Walk(address, tuple(steps), mfn, gfn)


def _descend(address: int, root: int, read: Read, steps: list[Step], stage: int) -> int:
    """Go down the levels, noting each step; return the page or frame at the end."""
    table, parts = root, slots(address)
    for level in LEVELS:
        entry = read(table, parts[level])
        steps.append(Step(stage, level, table, parts[level], entry))
        if not entry.present:
            raise NotMapped(Walk(address, tuple(steps)))
        if level == 1 or (level < 4 and Flag.PSE in entry.flags):
            return entry.mfn + (address >> 12 & _SPAN[level] - 1)
        table = entry.mfn
    raise AssertionError("the lowest level always ends the walk")
