"""A PV guest's memory, as the guest sees it: what its page tables map, where, and whether it may write there.

The tables themselves are in `xenlab.memory.paging`, which checks every change. Here they lie in the guest's memory, so
that the guest can read them, and what they map is looked up whenever they have changed.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from xenlab.memory.builder import Area, lay_out
from xenlab.memory.entries import ENTRIES, Entry, Flag
from xenlab.memory.machine import Machine
from xenlab.memory.paging import XEN_SLOTS, Table

PAGE = 4096
_NOTHING: Table = np.zeros(ENTRIES, dtype=np.uint64)


class PageFault(Exception):
    """An access to an address that the guest's page tables do not allow."""

    def __init__(self, address: int, write: bool) -> None:
        super().__init__(f"{'write' if write else 'read'} at {address:#x}")
        self.address, self.write = address, write


@dataclass(frozen=True)
class Mapped:
    """Where a page of addresses leads: to this page of the guest's memory, and whether it may be written."""

    pfn: int
    writable: bool


class Space:
    """The memory of the domain `domid`, one piece of bytes, and the addresses at which its tables map it.

    >>> machine = Machine(64)
    >>> domain = machine.add(1, pages=16)
    >>> space = Space(machine, 1)
    >>> space.build([Area(0, 0, 16)], first=12)
    >>> space.write(0x3000, b"hello")
    >>> space.read(0x3000, 5), space.mapped[12].writable  # page 12 holds the root table
    (b'hello', False)
    """

    def __init__(self, machine: Machine, domid: int) -> None:
        self.machine, self.domid = machine, domid
        self.p2m = machine.domains[domid].p2m
        self.memory = mmap.mmap(-1, len(self.p2m) * PAGE)
        words = np.frombuffer(self.memory, dtype=np.uint64)
        for pfn in machine.domains[domid].pages.tolist():
            machine.paging.tables[int(self.p2m[pfn])] = words[pfn * ENTRIES : (pfn + 1) * ENTRIES]
        #: What the tables map, by the number of the page of addresses.
        self.mapped: dict[int, Mapped] = {}
        self._seen: dict[int, Table] = {}

    def build(self, areas: Sequence[Area], first: int) -> None:
        """Lay the first page tables into the pages from `first` on, as the builder in dom0 does, and use them."""
        layout = lay_out(self.p2m, areas, first)
        paging = self.machine.paging
        for pfn, table in layout.tables.items():
            paging.tables[int(self.p2m[pfn])][:] = table
        root = int(self.p2m[layout.root])
        paging.pin(self.domid, root, 4)
        paging.new_root(self.domid, root)
        self.look_up()

    def close(self) -> None:
        """Let Xen let go of the tables, and forget what is in the memory: the domain ends."""
        paging = self.machine.paging
        paging.tear_down(self.domid)
        for pfn in self.machine.domains[self.domid].pages.tolist():
            paging.tables.pop(int(self.p2m[pfn]), None)

    def look_up(self) -> set[int]:
        """See what the tables map now; return the pages of addresses that lead elsewhere than before."""
        tables = dict(self._lowest(self.machine.paging.roots[self.domid], 4, 0, True))
        changed: set[int] = set()
        for prefix in tables.keys() | self._seen:
            new = tables.get(prefix, _NOTHING)
            old = self._seen.get(prefix, _NOTHING)
            for slot in np.flatnonzero(new != old).tolist():
                self._note(prefix << 9 | slot, int(new[slot]))
                changed.add(prefix << 9 | slot)
        self._seen = tables
        return changed

    def _note(self, page: int, value: int) -> None:
        entry = Entry.of(value)
        if entry.present:
            self.mapped[page] = Mapped(int(self.machine.frames.m2p[entry.mfn]), entry.writable)
        else:
            self.mapped.pop(page, None)

    def _lowest(self, mfn: int, level: int, prefix: int, writable: bool) -> Iterator[tuple[int, Table]]:
        """Copies of the lowest level's tables, by what their addresses begin with; read-only where one above is."""
        table = self.machine.paging.table(mfn)
        if level == 1:
            yield prefix, table.copy() if writable else table & ~np.uint64(Flag.RW)
            return
        for slot in np.flatnonzero(table & np.uint64(Flag.PRESENT)).tolist():
            if level < 4 or slot not in XEN_SLOTS:
                entry = Entry.of(int(table[slot]))
                yield from self._lowest(entry.mfn, level - 1, prefix << 9 | slot, writable and entry.writable)

    # -- bytes

    def read(self, address: int, length: int) -> bytes:
        """Read bytes at an address, as Xen does for the guest; raises `PageFault`."""
        return b"".join(self.memory[at : at + size] for at, size in self._pieces(address, length, False))

    def write(self, address: int, data: bytes) -> None:
        """Write bytes at an address; raises `PageFault`, and has written what lies before."""
        done = 0
        for at, size in self._pieces(address, len(data), True):
            self.memory[at : at + size] = data[done : done + size]
            done += size

    def words(self, address: int, count: int) -> list[int]:
        """Read words of eight bytes; raises `PageFault`."""
        return list(struct.unpack(f"<{count}Q", self.read(address, 8 * count)))

    def _pieces(self, address: int, length: int, write: bool) -> Iterator[tuple[int, int]]:
        while length > 0:
            mapped = self.mapped.get(address // PAGE)
            if mapped is None or (write and not mapped.writable):
                raise PageFault(address, write)
            size = min(length, PAGE - address % PAGE)
            yield mapped.pfn * PAGE + address % PAGE, size
            address, length = address + size, length - size
