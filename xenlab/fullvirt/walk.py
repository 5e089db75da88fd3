"""One walk through page tables, alone or through a second table, and every memory reference that it takes."""

from __future__ import annotations

from dataclasses import dataclass

from xenlab.commands import XenlabError
from xenlab.emulation.mmu import PRESENT, USER, WRITABLE, Mmu, Reference, map_page
from xenlab.emulation.traps import Cause

DEEPEST = 4
_HOST_FRAMES_AT, _NESTED_TABLES_AT, _MEMORY = 0x80, 0x100, 8192


@dataclass(frozen=True)
class Walk:
    """A walk: the address, its references in their order, and the place where the word lies."""

    levels: int
    nested: int
    address: int
    references: tuple[Reference, ...]
    place: int


def walk(levels: int = 4, nested: int = 4) -> Walk:
    """Walk tables of `levels` levels, each step through nested ones of `nested` levels; 0 is without.

    The tables are built in memory, and the book's MMU walks them. Raises `XenlabError` for depths it does not have.

    >>> len(walk(4, 0).references), len(walk(2, 2).references), len(walk(4, 4).references)
    (4, 8, 24)
    """
    if not 1 <= levels <= DEEPEST:
        raise XenlabError(f"levels(={levels}) must be from 1 to {DEEPEST}")
    if not 0 <= nested <= DEEPEST:
        raise XenlabError(f"nested(={nested}) must be from 0 to {DEEPEST}")
    memory = [0] * _MEMORY
    base = _HOST_FRAMES_AT if nested else 0
    guest = _Window(memory, base)
    address = int("12345"[:levels] + "7", 16)
    frames = list(range(levels, 0, -1))  # the tables take frames 1, 2, …, the page the next one
    root = frames.pop()
    map_page(guest, root, address, (levels + 1) << 4 | PRESENT | WRITABLE | USER, levels, frames)
    mmu = Mmu(memory, levels, nested)
    mmu.root = root
    if nested:
        free = list(range(_MEMORY // 16 - 1, _NESTED_TABLES_AT, -1))
        mmu.nested_root = free.pop()
        for frame in range(levels + 2):
            entry = (frame + base) << 4 | PRESENT | WRITABLE
            map_page(memory, mmu.nested_root, frame << 4, entry, nested, free)
    mmu.log = []
    place = mmu.page(address, Cause.LOAD, supervisor=False) | address & 15
    return Walk(levels, nested, address, tuple(mmu.log), place)


class _Window:
    """A guest's memory: the same words, some frames further up."""

    def __init__(self, memory: list[int], base: int) -> None:
        self._memory, self._start = memory, base << 4

    def __len__(self) -> int:
        return len(self._memory) - self._start

    def __getitem__(self, place: int) -> int:
        return self._memory[self._start + place]

    def __setitem__(self, place: int, word: int) -> None:
        self._memory[self._start + place] = word
