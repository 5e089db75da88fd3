"""Small guests to look at: each is a function that walks an address through the tables of a guest of 64 pages."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xenlab.memory.builder import DIRECT, KERNEL, Area, build, lay_out
from xenlab.memory.entries import Entry
from xenlab.memory.machine import Machine
from xenlab.memory.walk import Walk, direct, nested

#: The guest's 64 pages, at both places where Linux has them.
_AREAS = (Area(KERNEL, 0, 64), Area(DIRECT, 0, 64))
_TABLES_AT = 52


def small_guest() -> Callable[[int], Walk]:
    """A PV guest of 64 pages, which Xen has checked.

    >>> hex(small_guest()(0xFFFF888000003000).mfn)
    '0x13'
    """
    machine = Machine(256, xen=16)
    machine.add(1, pages=64)
    build(machine, 1, _AREAS, first=_TABLES_AT)
    paging = machine.paging
    return lambda address: direct(address, paging.roots[1], paging.entry, machine.page_of)


def small_pvh_guest() -> Callable[[int], Walk]:
    """A PVH guest of 64 pages: its own tables hold its page numbers, and Xen's tables translate those.

    >>> len(small_pvh_guest()(0xFFFF888000003000).steps)
    24
    """
    machine = Machine(256, xen=16)
    guest = machine.add(1, pages=64, translated=True)
    own = lay_out(np.arange(64), _AREAS, first=_TABLES_AT)
    read_own = {int(guest.p2m[pfn]): table for pfn, table in own.tables.items()}
    # Xen's tables of the second stage lie in frames of its own, which the guest does not have.
    hosts = machine.frames.allocate(0, 8)
    host = lay_out(np.concatenate([guest.p2m, hosts]), [Area(0, 0, 64)], first=64)
    read_host = {int(hosts[pfn - 64]): table for pfn, table in host.tables.items()}

    def read(tables: dict[int, object]) -> Callable[[int, int], Entry]:
        return lambda mfn, slot: Entry.of(int(tables[mfn][slot]))  # type: ignore[index]

    return lambda address: nested(address, own.root, read(read_own), int(hosts[0]), read(read_host))  # type: ignore[arg-type]
