"""The text of ``xen-mfndump``, Xen's own window on p2m, m2p and page tables: read from a host, or written for one.

Source: tools/misc/xen-mfndump.c at tag RELEASE-4.17.7. The types are those of public/domctl.h (XEN_DOMCTL_PFINFO_*).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xenlab.commands import XenlabError
from xenlab.memory.entries import ENTRIES
from xenlab.memory.frames import INVALID, FrameNumbers
from xenlab.memory.paging import Table

#: The bit that says a table is pinned, the type of a page without a frame, and how an invalid number is printed.
PINNED, NO_FRAME = 8, 0xF
_NO_NUMBER = 0xFFFFFFFFFFFFFFFF

Types = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class P2m:
    """A guest's p2m: for each page its frame (-1: none) and its type: the level of a table, 8 more if it is pinned."""

    mfns: FrameNumbers
    types: Types

    @property
    def tables(self) -> dict[int, int]:
        """The pages that hold page tables, with the level of each."""
        holds = np.flatnonzero((self.types != NO_FRAME) & (self.types & 7 > 0))
        return {pfn: int(self.types[pfn] & 7) for pfn in holds.tolist()}


def read_p2m(text: str) -> P2m:
    """Read what ``dump-p2m`` printed.

    >>> p2m = read_p2m(write_p2m(1, np.array([42, -1, 40]), np.array([0, 15, 12], dtype=np.uint8)))
    >>> p2m.mfns.tolist(), p2m.tables
    ([42, -1, 40], {2: 4})
    """
    found = re.findall(r"pfn=0x\w+ ==> mfn=0x(\w+) \(type 0x(\w)\)", text)
    if not found:
        raise XenlabError(f"text(={text[:60]!r}) must be what xen-mfndump dump-p2m prints")
    types = np.array([int(kind, 16) for _, kind in found], dtype=np.uint8)
    mfns = _numbers(mfn for mfn, _ in found)
    mfns[types == NO_FRAME] = INVALID
    return P2m(mfns, types)


def write_p2m(domid: int, mfns: FrameNumbers, types: Types) -> str:
    """Write what ``dump-p2m`` prints.

    >>> print(write_p2m(1, np.array([42, -1]), np.array([12, 15], dtype=np.uint8)), end="")
     --- Dumping P2M for domain 1 ---
     Guest Width: 8, PT Levels: 4 P2M size: = 2
      pfn=0x0 ==> mfn=0x2a (type 0xc) pinned L4
      pfn=0x1 ==> mfn=0xffffffffffffffff (type 0xf) invalid
     --- End of P2M for domain 1 ---
    """
    rows = "".join(
        f"  pfn={pfn:#x} ==> mfn={mfn & _NO_NUMBER:#x} (type {kind:#x}){_word(kind)}\n"
        for pfn, (mfn, kind) in enumerate(zip(mfns.tolist(), types.tolist(), strict=True))
    )
    return (
        f" --- Dumping P2M for domain {domid} ---\n{_size(len(mfns))}{rows}"
        f" --- End of P2M for domain {domid} ---\n"
    )


def read_m2p(text: str) -> FrameNumbers:
    """Read what ``dump-m2p`` printed: for each frame of the machine the page it is to its owner, -1 if to none.

    >>> read_m2p(write_m2p(np.array([-1, 7]))).tolist()
    [-1, 7]
    """
    found = re.findall(r"==> pfn=0x(\w+)", text)
    if not found:
        raise XenlabError(f"text(={text[:60]!r}) must be what xen-mfndump dump-m2p prints")
    return _numbers(found)


def write_m2p(m2p: FrameNumbers) -> str:
    """Write what ``dump-m2p`` prints."""
    rows = "".join(f"  mfn={mfn:#x} ==> pfn={pfn & _NO_NUMBER:#x}\n" for mfn, pfn in enumerate(m2p.tolist()))
    return f" --- Dumping M2P ---\n Max MFN: {len(m2p)}\n{rows} --- End of M2P ---\n"


def read_ptes(text: str) -> Table:
    """Read the entries of a page table that ``dump-ptes`` printed."""
    found = re.findall(r"pte\[\d+\]: 0x(\w+)", text)
    if len(found) != ENTRIES:
        raise XenlabError(
            f"text(={text[:60]!r}) must be the {ENTRIES} entries that xen-mfndump dump-ptes prints"
        )
    return np.array([int(value, 16) for value in found], dtype=np.uint64)


def write_ptes(domid: int, pages: int, pfn: int, mfn: int, kind: int, table: Table) -> str:
    """Write what ``dump-ptes`` prints of the table in page `pfn`, of this type, of a guest of so many pages.

    >>> text = write_ptes(1, 64, 10, 42, 12, np.zeros(512, dtype=np.uint64))
    >>> print(*text.splitlines()[2:4], sep="\\n")
     pfn: 0xa, mfn: 0x2a, L4 table [pinned] [mapped]
      pte[0]: 0x0
    >>> int(read_ptes(text).sum())
    0
    """
    pinned = " [pinned]" if kind & PINNED else ""
    rows = "".join(f"  pte[{slot}]: {value:#x}\n" for slot, value in enumerate(table.tolist()))
    return (
        f" --- Dumping {ENTRIES} PTEs for domain {domid} ---\n{_size(pages)}"
        f" pfn: {pfn:#x}, mfn: {mfn:#x}, L{kind & 7} table{pinned} [mapped]\n{rows}"
        f" --- End of PTEs for domain {domid}, pfn={pfn:#x} (mfn={mfn:#x}) ---\n"
    )


def _word(kind: int) -> str:
    if kind == NO_FRAME:
        return " invalid"
    return f"{' pinned' * bool(kind & PINNED)} L{kind & 7}" if kind & 7 else ""


def _size(pages: int) -> str:
    return f" Guest Width: 8, PT Levels: 4 P2M size: = {pages}\n"


def _numbers(found: Iterable[str]) -> FrameNumbers:
    """Numbers from hexadecimal text; what is above all frames there can be is none."""
    numbers = np.array([int(number, 16) for number in found], dtype=np.uint64)
    return np.where(numbers >> np.uint64(52), INVALID, numbers.astype(np.int64))
