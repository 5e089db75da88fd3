"""Page tables: how an address becomes a place in memory, and how many memory references that takes.

A page has sixteen words, and so has a page table: one table fills one page. So every hexadecimal digit of an address
but the last is one step of the walk, and the last digit is the word within the page. With two levels, address ``0x3a7``
is found thus: entry 3 of the root table names the next table, entry 10 of that names the page, and word 7 is meant.

An entry is ``frame << 4 | flags``. A table's entry needs `PRESENT`; a page's entry has `WRITABLE` and `USER`, too.

In *nested* paging there are two tables. The guest's turns its addresses into what it takes for physical ones; a second
table, of which it knows nothing, turns these into real ones. Each step through the first is an address that must go
through the second: with n and m levels a walk takes n + m + n·m references (Bhargava et al., ASPLOS 2008).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from xenlab.emulation.traps import Cause, Trap

PAGE = 16
PRESENT, WRITABLE, USER = 1, 2, 4


class Words(Protocol):
    """Memory: a list of words, or what behaves like one."""

    def __len__(self) -> int: ...
    def __getitem__(self, place: int, /) -> int: ...
    def __setitem__(self, place: int, word: int, /) -> None: ...


@dataclass(frozen=True)
class Reference:
    """One memory reference of a walk: which table was read (its level counts from 1 at the root), where, and the entry.

    `table` is ``guest`` or ``nested``. `for_level` tells which step of the guest's walk a nested one serves; the step
    after the guest's last level is the page itself.
    """

    table: str
    level: int
    address: int
    entry: int
    for_level: int = 0


class Mmu:
    """The part of a processor that walks page tables. It counts its walks and their memory references.

    `levels` is the depth of the guest's tables, `nested_levels` that of the nested ones. `root` and `nested_root` are
    the frames of the root tables; 0 turns that translation off. While `log` is a list, every reference is noted there.
    """

    def __init__(self, memory: Words, levels: int = 2, nested_levels: int = 2) -> None:
        self.memory = memory
        self.levels = levels
        self.nested_levels = nested_levels
        self.root = 0
        self.nested_root = 0
        self.walks = 0
        self.references = 0
        self.log: list[Reference] | None = None

    def page(self, address: int, cause: Cause, supervisor: bool) -> int:
        """The real address of the page in which `address` lies; raises `Trap` where the access is not allowed.

        `cause` says what the access is: `Cause.FETCH`, `LOAD` or `STORE`.
        """
        self.walks += 1
        guest_page = address & ~(PAGE - 1)
        try:
            if self.root:
                guest_page = self._guest(address, cause, supervisor)
            real = self._real(guest_page, cause, self.levels + 1)
        except Trap as trap:
            trap.access = trap.access or Trap(cause, address)
            raise
        if real is None:
            raise Trap(cause, address)
        return real

    def _guest(self, address: int, cause: Cause, supervisor: bool) -> int:
        if address >> 4 * (self.levels + 1):
            raise Trap(cause, address)
        entry = self.root << 4 | PRESENT
        for level in range(1, self.levels + 1):
            digit = address >> 4 * (self.levels + 1 - level) & 15
            table = self._real(entry & ~15, Cause.LOAD, level)
            if table is None:
                raise Trap(cause, address)
            entry = self._read("guest", level, table | digit, 0)
            if not entry & PRESENT:
                raise Trap(cause, address)
        if (cause == Cause.STORE and not entry & WRITABLE) or not (supervisor or entry & USER):
            raise Trap(cause, address)
        return entry & ~15

    def _real(self, guest_page: int, cause: Cause, for_level: int) -> int | None:
        """What the guest takes for a physical page, as a real one; None where there is no memory."""
        if not self.nested_root:
            return guest_page if guest_page < len(self.memory) else None
        if guest_page >> 4 * (self.nested_levels + 1):
            raise Trap(Cause.NESTED, guest_page)
        entry = self.nested_root << 4 | PRESENT
        for level in range(1, self.nested_levels + 1):
            digit = guest_page >> 4 * (self.nested_levels + 1 - level) & 15
            entry = self._read("nested", level, (entry & ~15) | digit, for_level)
            if not entry & PRESENT:
                raise Trap(Cause.NESTED, guest_page)
        if cause == Cause.STORE and not entry & WRITABLE:
            raise Trap(Cause.NESTED, guest_page)
        return entry & ~15

    def _read(self, table: str, level: int, address: int, for_level: int) -> int:
        self.references += 1
        entry = self.memory[address]
        if self.log is not None:
            self.log.append(Reference(table, level, address, entry, for_level))
        return entry


def map_page(memory: Words, root: int, address: int, entry: int, levels: int, free: list[int]) -> int:
    """Put a page's entry into the tables under frame `root`, taking frames for missing tables from the end of `free`.

    Returns the place of the entry.

    >>> memory, free = [0] * 256, [5, 4]
    >>> hex(map_page(memory, 3, 0x120, 7 << 4 | PRESENT | USER, 2, free))
    '0x42'
    >>> mmu = Mmu(memory)
    >>> mmu.root = 3
    >>> hex(mmu.page(0x125, Cause.LOAD, supervisor=False)), mmu.references
    ('0x70', 2)
    """
    table = root
    for level in range(1, levels):
        at = table << 4 | (address >> 4 * (levels + 1 - level) & 15)
        if not memory[at] & PRESENT:
            frame = free.pop()
            clear(memory, frame)
            memory[at] = frame << 4 | PRESENT
        table = memory[at] >> 4
    at = table << 4 | (address >> 4 & 15)
    memory[at] = entry
    return at


def clear(memory: Words, frame: int) -> None:
    """Fill a frame with zeros."""
    for place in range(frame * PAGE, (frame + 1) * PAGE):
        memory[place] = 0
