"""A small PV guest that asks Xen for mappings and page tables, one call at a time, and what Xen answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xenlab.commands import XenlabError
from xenlab.memory.builder import KERNEL, LEAF, Area, build
from xenlab.memory.entries import Entry, Flag
from xenlab.memory.frames import Frame
from xenlab.memory.machine import Machine
from xenlab.memory.paging import Refused

#: The guest has these pages; the last four hold its tables, the lowest level last. One more is its neighbour's.
PAGES, FIRST_TABLE, NEIGHBOUR = 8, 4, 8
#: Entries of the lowest table that can be set.
SLOTS = 16


@dataclass(frozen=True)
class Answer:
    """One call: what was asked, the error that Xen returned (empty if none), and what it logged."""

    asked: str
    refused: str = ""
    log: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"(XEN) {line}" for line in self.log]
        return "\n".join([f"{self.asked}: {self.refused or 'done'}", *lines])


class Desk:
    """Where a guest of eight pages makes its requests.

    Its tables are as dom0 has built them: the lowest one maps all eight pages, the tables read-only.

    >>> desk = Desk()
    >>> print(desk.ask("map", page=0, slot=9))
    mmu_update: entry 9 of the L1 table maps page 0, to be written: done
    >>> print(desk.ask("map", page=7, slot=7))
    mmu_update: entry 7 of the L1 table maps page 7, to be written: -EBUSY
    (XEN) Bad type (saw 2400000000000001 != exp e000000000000000) for mfn 0000b (pfn 00007)
    (XEN) Could not get page type PGT_writable_page
    (XEN) Error getting mfn 0000b (pfn 00007) from L1 entry 001000000000b027 for l1e_owner d1, pg_owner d1
    """

    def __init__(self) -> None:
        self._machine = Machine(16, xen=4)
        self._machine.add(1, pages=PAGES)
        self._machine.add(2, pages=1)
        self._first = {page: self._frame(page) for page in range(PAGES)}
        build(self._machine, 1, [Area(KERNEL, 0, PAGES)], first=FIRST_TABLE)

    def ask(self, call: str, *, page: int = 0, slot: int = 0, level: int = 1, write: bool = True) -> Answer:
        """Ask Xen for something.

        Args:
            call: ``"map"`` the page by an entry of the lowest table, ``"unmap"`` that entry, ``"pin"`` the page as a
                table of a level, ``"unpin"`` it, or ``"release"`` it to Xen.
            page: 0 to 7; 8 is the page of a neighbour.
            slot: Entry of the lowest table, 0 to 15.
            level: 1 to 4.
            write: Map it to be written, not only to be read.

        Raises:
            XenlabError: There is no such call, page, entry or level.

        """
        for name, value, least, most in (
            ("page", page, 0, NEIGHBOUR),
            ("slot", slot, 0, SLOTS - 1),
            ("level", level, 1, 4),
        ):
            if not least <= value <= most:
                raise XenlabError(f"{name}(={value}) must be {least} to {most}")
        called = "a page of its neighbour" if page == NEIGHBOUR else f"page {page}"
        access = "written" if write else "read"
        flags = Flag(LEAF if write else LEAF & ~Flag.RW)
        calls: dict[str, tuple[str, Callable[[], object]]] = {
            "map": (
                f"mmu_update: entry {slot} of the L1 table maps {called}, to be {access}",
                lambda: self._set(slot, Entry(self._frame(page), flags)),
            ),
            "unmap": (
                f"mmu_update: entry {slot} of the L1 table maps nothing",
                lambda: self._set(slot, Entry(0, Flag(0))),
            ),
            "pin": (
                f"MMUEXT_PIN_L{level}_TABLE: {called}",
                lambda: self._machine.paging.pin(1, self._frame(page), level),
            ),
            "unpin": (
                f"MMUEXT_UNPIN_TABLE: {called}",
                lambda: self._machine.paging.unpin(1, self._frame(page)),
            ),
            "release": (f"XENMEM_decrease_reservation: {called}", lambda: self._release(page)),
        }
        if call not in calls:
            raise XenlabError(f"call(={call!r}) must be one of: {', '.join(calls)}")
        asked, act = calls[call]
        try:
            act()
        except Refused as refused:
            return Answer(asked, f"-{refused.code}", refused.log)
        except XenlabError as error:
            return Answer(asked, str(error))
        return Answer(asked)

    def frame(self, page: int) -> Frame | None:
        """What Xen knows of the frame behind one of the guest's pages; None if the page was given back."""
        mfn = self._machine.frame_of(1, page)
        return None if mfn is None else self._machine.frames[mfn]

    def is_kept(self, page: int) -> bool:
        """Does Xen still keep the frame of a page that was given back, because something uses it?"""
        frame = self._machine.frames[self._first[page]]
        return frame.owner == 1 and not frame.allocated

    def mappings(self, mfn: int) -> dict[int, bool]:
        """The entries of the lowest table that map this frame, and whether it may be written by each."""
        table = self._machine.frame_of(1, PAGES - 1)
        if table is None:
            return {}
        entries = {slot: self._machine.paging.entry(table, slot) for slot in range(SLOTS)}
        return {slot: entry.writable for slot, entry in entries.items() if entry.present and entry.mfn == mfn}

    def _frame(self, page: int) -> int:
        mfn = self._machine.frame_of(*((2, 0) if page == NEIGHBOUR else (1, page)))
        if mfn is None:
            raise XenlabError("there is no frame behind this page any more")
        return mfn

    def _set(self, slot: int, entry: Entry) -> None:
        self._machine.paging.write(1, self._frame(PAGES - 1), slot, entry)

    def _release(self, page: int) -> None:
        mfn = self._frame(page)
        if page == NEIGHBOUR:
            self._machine.paging.drop(1, mfn)  # which Xen refuses
        self._machine.release(1, [page])
