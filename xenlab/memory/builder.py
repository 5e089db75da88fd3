"""How a PV guest's first page tables come about: dom0 writes them into the guest's memory, Xen checks them.

The builder in dom0 lays tables into a stretch of the guest's pages, from the root down, and fills them with the frames
of the pages they map. Pages that hold tables are mapped read-only. Then it asks Xen to pin the root: Xen checks all of
it at once. Later the guest's kernel makes more tables in the same manner.

Source: tools/libs/guest/xg_dom_x86.c at tag RELEASE-4.17.7 (count_pgtables, setup_pgtables_pv, x86_64_params).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xenlab.memory.entries import ENTRIES, Flag
from xenlab.memory.frames import INVALID, FrameNumbers
from xenlab.memory.machine import Machine
from xenlab.memory.paging import Table

#: Where Linux on x86-64 has its kernel, and all its memory once more (Documentation/arch/x86/x86_64/mm.rst).
KERNEL, DIRECT = 0xFFFFFFFF80000000, 0xFFFF888000000000
#: The flags of an entry for a page of memory, and for a table.
LEAF = int(Flag.PRESENT | Flag.RW | Flag.ACCESSED)
INNER = LEAF | int(Flag.DIRTY | Flag.USER)


@dataclass(frozen=True)
class Area:
    """A stretch of virtual memory that maps `pages` pages from the page `pfn` on."""

    address: int
    pfn: int
    pages: int


@dataclass(frozen=True)
class Layout:
    """The page tables of a guest: by page, the level of each and its entries. The root is the first page."""

    levels: dict[int, int]
    tables: dict[int, Table]

    @property
    def root(self) -> int:
        """The page that holds the root table."""
        return next(iter(self.levels))


def lay_out(p2m: FrameNumbers, areas: Sequence[Area], first: int) -> Layout:
    """Fill page tables for `areas`, in pages from `first` on; `p2m` says which frame each page is.

    >>> layout = lay_out(np.arange(100, 164), [Area(KERNEL, 0, 8)], first=8)
    >>> layout.levels
    {8: 4, 9: 3, 10: 2, 11: 1}
    >>> hex(layout.tables[11][7])
    '0x6b023'
    """
    levels, places = _count(areas, first)
    tables = {pfn: np.zeros(ENTRIES, dtype=np.uint64) for pfn in levels}
    for (level, prefix), pfn in places.items():
        if level < 4:
            above = places[level + 1, prefix >> 9]
            tables[above][prefix & 511] = int(p2m[pfn]) << 12 | INNER
    writable = np.full(len(p2m), LEAF, dtype=np.uint64)
    writable[list(levels)] = LEAF & ~Flag.RW
    for area in areas:
        pfns = np.arange(area.pfn, area.pfn + area.pages)
        numbers = (area.address >> 12 & (1 << 36) - 1) + np.arange(area.pages)
        entries = np.where(
            p2m[pfns] == INVALID, np.uint64(0), p2m[pfns].astype(np.uint64) << np.uint64(12) | writable[pfns]
        )
        for prefix in np.unique(numbers >> 9).tolist():
            here = numbers >> 9 == prefix
            tables[places[1, prefix]][numbers[here] & 511] = entries[here]
    return Layout(levels, tables)


def _count(areas: Sequence[Area], first: int) -> tuple[dict[int, int], dict[tuple[int, int], int]]:
    """Which tables are needed: the level of each page from `first` on, and the page by level and upper address bits."""
    numbers = [(area.address >> 12 & (1 << 36) - 1, area.pages) for area in areas]
    wanted = [(4, 0)]
    for start, pages in numbers:
        for level in (3, 2, 1):
            shift = 9 * level
            spanned = range(start >> shift, (start + pages - 1 >> shift) + 1)
            wanted += [(level, prefix) for prefix in spanned if (level, prefix) not in wanted]
    places = {key: first + number for number, key in enumerate(wanted)}
    return {pfn: level for (level, _), pfn in places.items()}, places


def build(machine: Machine, domid: int, areas: Sequence[Area], first: int) -> Layout:
    """Write a guest's first page tables, let Xen check and pin them, and let the guest's processor use them.

    Raises:
        Refused: Xen found an entry that must not be.

    >>> machine = Machine(64)
    >>> web = machine.add(1, pages=16)
    >>> layout = build(machine, 1, [Area(KERNEL, 0, 16)], first=12)
    >>> [machine.frames[int(web.p2m[pfn])].type.name for pfn in (0, 12, 13, 14, 15)]
    ['WRITABLE', 'L4', 'L3', 'L2', 'L1']
    """
    p2m = machine.domains[domid].p2m
    layout = lay_out(p2m, areas, first)
    for pfn, table in layout.tables.items():
        machine.paging.tables[int(p2m[pfn])] = table
    root = int(p2m[layout.root])
    machine.paging.pin(domid, root, 4)
    machine.paging.new_root(domid, root)
    return layout
