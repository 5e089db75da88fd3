"""What a processor says of itself: the leaves of CPUID, on the bare machine and as Xen tells them to a PV guest.

CPUID does not trap. So a PV guest that executes it sees the machine, whatever Xen may want it to see. A guest that is
well-behaved asks Xen instead, with a prefix that no processor has: ``ud2`` and the letters *xen*. That does trap, as an
invalid instruction, and Xen answers from what it calls the guest's *policy*.

The tables are those of the box: QEMU 7.2's processor ``qemu64,+svm,+npt``, and what ``xen-cpuid -p`` prints for it
(Raw, and PV Default). Names of features: AMD64 Architecture Programmer's Manual, volume 3, appendix E.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import NamedTuple


class Leaf(NamedTuple):
    """What the four registers hold after CPUID."""

    eax: int
    ebx: int
    ecx: int
    edx: int


#: The bits of leaf 1, register edx, and of the registers beside it.
FEATURES: Mapping[str, tuple[str, ...]] = {
    "1d": tuple(
        "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 psn clflush - ds acpi mmx fxsr sse "
        "sse2 ss htt tm ia64 pbe".split()
    ),
    "1c": tuple(
        "sse3 pclmul dtes64 monitor dscpl vmx smx eist tm2 ssse3 cid - fma cx16 xtpr pdcm - pcid dca sse41 sse42 "
        "x2apic movbe popcnt tscdl aes xsave osxsave avx f16c rdrand hypervisor".split()
    ),
    "81d": tuple(
        "fpu vme de pse tsc msr pae mce cx8 apic - syscall mtrr pge mca cmov pat pse36 - mp nx - mmxext mmx fxsr ffxsr "
        "page1gb rdtscp - lm 3dnowext 3dnow".split()
    ),
}


def names(register: str, value: int) -> frozenset[str]:
    """The features that a register of CPUID names: ``"1d"`` is edx of leaf 1, ``"81d"`` edx of leaf 0x80000001.

    >>> sorted(names("1d", 0x178BFBFD) - names("1d", 0x1789C3F5))
    ['mtrr', 'pge', 'pse', 'pse36', 'sep']
    """
    return frozenset(name for bit, name in enumerate(FEATURES[register]) if value >> bit & 1 and name != "-")


def _signature(text: str, most: int) -> Leaf:
    return Leaf(most, *struct.unpack("<III", text.encode()))


_BRAND = {
    0x80000002: Leaf(0x554D4551, 0x72695620, 0x6C617574, 0x55504320),
    0x80000003: Leaf(0x72657620, 0x6E6F6973, 0x352E3220, 0x2B),
}

#: What the instruction itself says, in ring 3 too.
MACHINE: Mapping[int, Leaf] = {
    0x00000000: _signature("AuthcAMDenti", 0xD),
    0x00000001: Leaf(0x00060FB1, 0x00020800, 0x80002001, 0x178BFBFD),
    0x40000000: _signature("TCGTCGTCGTCG", 0x40000001),
    0x80000000: _signature("AuthcAMDenti", 0x8000000A),
    0x80000001: Leaf(0x00060FB1, 0, 0x00000007, 0x2193FBFD),
    **_BRAND,
}
#: What Xen says to a PV guest that asks it.
PV_GUEST: Mapping[int, Leaf] = {
    0x00000000: _signature("AuthcAMDenti", 0xD),
    0x00000001: Leaf(0x00060FB1, 0x00020800, 0x80002001, 0x1789C3F5),
    0x40000000: _signature("XenVMMXenVMM", 0x40000005),
    0x40000001: Leaf(0x00040011, 0, 0, 0),
    0x80000000: _signature("AuthcAMDenti", 0x80000021),
    0x80000001: Leaf(0x00060FB1, 0, 0x00000003, 0x2191CBF5),
    **_BRAND,
}
NOTHING = Leaf(0, 0, 0, 0)
