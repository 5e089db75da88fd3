"""Page-table entries of x86-64, and how a virtual address names one on each level.

A table is a frame of 512 entries of eight bytes. An entry holds a frame number (bits 12 to 51) and flags. A virtual
address is 48 bits long: four times nine bits, each the number of an entry, and twelve for the byte in the page.
Source: AMD64 Architecture Programmer's Manual, volume 2, section 5.3; xen/arch/x86/include/asm/x86_64/page.h.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

import numpy as np
import numpy.typing as npt

ENTRIES = 512
LEVELS = (4, 3, 2, 1)
_MFN_MASK = (1 << 40) - 1


class Flag(IntFlag):
    """Flags of an entry that matter here."""

    PRESENT = 1 << 0
    RW = 1 << 1
    USER = 1 << 2
    PWT = 1 << 3
    PCD = 1 << 4
    ACCESSED = 1 << 5
    DIRTY = 1 << 6
    PSE = 1 << 7  # in an L2 or L3 entry: a large page; in an L1 entry: PAT
    GLOBAL = 1 << 8
    GUEST_KERNEL = 1 << 52  # Xen's own mark: the guest meant this page for its kernel
    NX = 1 << 63


_LETTERS = (
    (Flag.PRESENT, "P"),
    (Flag.RW, "W"),
    (Flag.USER, "U"),
    (Flag.ACCESSED, "A"),
    (Flag.DIRTY, "D"),
    (Flag.PSE, "S"),
    (Flag.GLOBAL, "G"),
    (Flag.GUEST_KERNEL, "K"),
    (Flag.NX, "N"),
)


@dataclass(frozen=True)
class Entry:
    """One entry of a page table: the frame it points at, and its flags.

    >>> entry = Entry(0x2A, Flag.PRESENT | Flag.RW)
    >>> hex(entry.value), entry.letters, Entry.of(entry.value) == entry
    ('0x2a003', 'PW', True)
    """

    mfn: int
    flags: Flag

    @classmethod
    def of(cls, value: int) -> Entry:
        """Read the 64 bits of an entry; flags without a name here are kept too."""
        return cls(value >> 12 & _MFN_MASK, Flag(value & ~(_MFN_MASK << 12)))

    @property
    def value(self) -> int:
        """Its 64 bits."""
        return self.mfn << 12 | int(self.flags)

    @property
    def present(self) -> bool:
        """Does it point anywhere?"""
        return Flag.PRESENT in self.flags

    @property
    def writable(self) -> bool:
        """May what it points at be written?"""
        return Flag.RW in self.flags

    def adjusted(self, level: int) -> Entry:
        """Return the entry as Xen writes it for a PV guest (adjust_guest_l1e to adjust_guest_l4e).

        A PV guest's kernel runs in ring 3, like its programs, so the processor must take every page for a user's. Xen
        marks what the guest meant for its kernel alone.

        >>> Entry(0x3F005, Flag.PRESENT | Flag.RW | Flag.ACCESSED).adjusted(1).letters
        'PWUAK'
        """
        if not self.present:
            return self
        flags = self.flags | Flag.USER
        if level == 1:
            if Flag.USER not in self.flags:
                flags |= Flag.GUEST_KERNEL
            if Flag.GUEST_KERNEL not in flags:
                flags |= Flag.GLOBAL
        return Entry(self.mfn, flags)

    @property
    def letters(self) -> str:
        """Its flags, a letter each: present, writable, user, accessed, dirty, size, global, kernel, no execute."""
        return "".join(letter for flag, letter in _LETTERS if flag in self.flags)


def adjusted(table: npt.NDArray[np.uint64], level: int) -> npt.NDArray[np.uint64]:
    """Return a whole table as Xen writes it."""
    values = [Entry.of(value).adjusted(level).value for value in table.tolist()]
    return np.array(values, dtype=np.uint64)


def slots(address: int) -> dict[int, int]:
    """Split a virtual address: for each level the number of the entry that it uses there.

    >>> slots(0xFFFFFFFF81000000)
    {4: 511, 3: 510, 2: 8, 1: 0}
    """
    return {level: address >> (12 + 9 * (level - 1)) & 511 for level in LEVELS}


def address_of(l4: int, l3: int, l2: int, l1: int, offset: int = 0) -> int:
    """Put a virtual address together; the upper 16 bits repeat bit 47.

    >>> hex(address_of(511, 510, 8, 0))
    '0xffffffff81000000'
    """
    low = l4 << 39 | l3 << 30 | l2 << 21 | l1 << 12 | offset
    return low | (0xFFFF << 48 if l4 >= ENTRIES // 2 else 0)
