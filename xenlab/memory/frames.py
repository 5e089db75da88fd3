"""The machine's frames: whose each is, how often it is referred to, and what it is in use as.

Xen keeps two counts for every frame. The **reference count** keeps the frame alive: it counts every use, and the
frame goes back to the free ones when it falls to zero. The **type count** keeps it safe: it counts the uses in its
present role. A frame may change its role only while that count is zero. So a page table is never writable, and a
writable page is never a page table.

Xen packs both into two 64-bit words, which its messages call ``caf`` and ``taf``; `Frame.caf` and `Frame.taf` give
them bit by bit. Sources: xen/arch/x86/mm.c (the comment at its top; get_page, put_page),
xen/arch/x86/include/asm/mm.h (PGT_*, PGC_*), xen/common/page_alloc.c, all at tag RELEASE-4.17.7.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from xenlab.commands import XenlabError

#: KiB in a frame.
FRAME_KB = 4
#: Who owns a frame that no domain has: nobody, or one of Xen's own domains (public/xen.h: DOMID_*).
FREE, IO, XEN, COW = -1, 0x7FF1, 0x7FF2, 0x7FF3
#: What the m2p holds for a frame that is no guest's (INVALID_M2P_ENTRY), and the p2m for a page without a frame.
INVALID = -1
#: Frames in a 2 MiB extent, which Xen hands out whole while it has some.
EXTENT = 512

FrameNumbers = npt.NDArray[np.int64]


class PageType(IntEnum):
    """The role a frame is in: the upper three bits of its type word. Each excludes all others."""

    NONE = 0
    L1 = 1
    L2 = 2
    L3 = 3
    L4 = 4
    SEG_DESC = 5
    SHARED = 6
    WRITABLE = 7

    @property
    def is_table(self) -> bool:
        """Is this a page table, of whatever level?"""
        return PageType.L1 <= self <= PageType.L4


class OutOfFrames(XenlabError):
    """The machine has fewer free frames than were asked for."""


@dataclass(frozen=True)
class Frame:
    """What Xen knows of one frame at one moment.

    >>> Frame(7, 1, references=2, type=PageType.WRITABLE, type_count=1, validated=True).words
    'caf=8000000000000002 taf=e400000000000001'
    """

    mfn: int
    owner: int
    references: int = 1
    type: PageType = PageType.NONE
    type_count: int = 0
    pinned: bool = False
    validated: bool = False
    allocated: bool = True
    xen_heap: bool = False

    @property
    def caf(self) -> int:
        """Its count_info: allocated (bit 63), of Xen's heap (62), free (58 and 59), and the reference count."""
        free = 3 if self.owner == FREE else 0
        return self.allocated << 63 | self.xen_heap << 62 | free << 58 | self.references

    @property
    def taf(self) -> int:
        """Its type_info: the type (bits 61 to 63), pinned (59), validated (58), and the type count."""
        return self.type << 61 | self.pinned << 59 | self.validated << 58 | self.type_count

    @property
    def words(self) -> str:
        """Both words as Xen prints them."""
        return f"caf={self.caf:08x} taf={self.taf:016x}"


class Frames:
    """All frames of a machine, numbered from 0, and its m2p: which page of its owner each frame is.

    Args:
        count: How many frames there are.
        xen: How many of them, the first ones, Xen keeps for itself.

    >>> frames = Frames(64, xen=8)
    >>> frames.allocate(1, 3).tolist(), frames.free
    ([8, 9, 10], 53)
    >>> frames.put(9)   # the last reference goes, and the frame with it
    >>> frames.free
    54
    """

    def __init__(self, count: int, xen: int = 0) -> None:
        if not 0 <= xen <= count:
            raise XenlabError(f"xen(={xen}) must be at least 0 and at most count(={count})")
        self.owner = np.full(count, FREE, dtype=np.int32)
        self.references = np.zeros(count, dtype=np.int64)
        self.type = np.zeros(count, dtype=np.uint8)
        self.type_count = np.zeros(count, dtype=np.int64)
        self.pinned = np.zeros(count, dtype=np.bool_)
        self.validated = np.zeros(count, dtype=np.bool_)
        self.allocated = np.zeros(count, dtype=np.bool_)
        self.used = np.zeros(count, dtype=np.bool_)  # by some domain before
        self.m2p = np.full(count, INVALID, dtype=np.int64)
        self.owner[:xen] = XEN
        self.references[:xen] = 1
        self.allocated[:xen] = True

    def __len__(self) -> int:
        return len(self.owner)

    def __getitem__(self, mfn: int) -> Frame:
        return Frame(
            mfn,
            int(self.owner[mfn]),
            int(self.references[mfn]),
            PageType(self.type[mfn]),
            int(self.type_count[mfn]),
            bool(self.pinned[mfn]),
            bool(self.validated[mfn]),
            bool(self.allocated[mfn]),
            bool(self.owner[mfn] == XEN),
        )

    @property
    def free(self) -> int:
        """How many frames nobody has."""
        return int(np.count_nonzero(self.owner == FREE))

    def owned_by(self, domid: int) -> int:
        """How many frames this domain has."""
        return int(np.count_nonzero(self.owner == domid))

    def allocate(self, domid: int, count: int) -> FrameNumbers:
        """Give a domain so many free frames; each has one reference, which says that it is allocated.

        Clean frames go first: what a domain has given back must be scrubbed before another may see it. Of either kind,
        whole extents of 2 MiB go first, from the top of memory; the rest comes from broken ones.

        Raises:
            OutOfFrames: There are fewer; nothing has changed.

        """
        free = np.flatnonzero(self.owner == FREE)
        if len(free) < count:
            raise OutOfFrames(
                f"count(={count}) must be at most the free frames of the machine (={len(free)}): "
                "let some domain give memory back first"
            )
        clean = free[~self.used[free]]
        chosen = _choose(clean, min(count, len(clean)))
        if len(chosen) < count:
            chosen = np.concatenate([chosen, _choose(free[self.used[free]], count - len(chosen))])
        self.owner[chosen] = domid
        self.references[chosen] = 1
        self.allocated[chosen] = True
        return chosen

    def get(self, mfn: int) -> None:
        """Take one more reference."""
        self.references[mfn] += 1

    def put(self, mfn: int) -> None:
        """Give a reference back; the frame is free when the last one goes."""
        self.references[mfn] -= 1
        if self.references[mfn] == 0:
            self.owner[mfn], self.m2p[mfn], self.used[mfn] = FREE, INVALID, True
            self.type[mfn] = self.type_count[mfn] = 0
            self.pinned[mfn] = self.validated[mfn] = self.allocated[mfn] = False

    def put_allocation(self, mfn: int) -> None:
        """Give back the reference that says the frame is allocated, once (put_page_alloc_ref)."""
        if self.allocated[mfn]:
            self.allocated[mfn] = False
            self.put(mfn)


def _choose(free: FrameNumbers, count: int) -> FrameNumbers:
    """Choose frames among the free ones.

    >>> _choose(np.arange(3, 2 * EXTENT), 514)[[0, 511, 512, 513]].tolist()
    [512, 1023, 3, 4]
    """
    sizes = np.bincount(free // EXTENT)
    whole = np.flatnonzero(sizes == EXTENT)[::-1][: count // EXTENT]
    extents = (whole[:, None] * EXTENT + np.arange(EXTENT)).ravel()
    rest = np.setdiff1d(free, extents, assume_unique=True)
    broken = np.lexsort((rest, -(rest // EXTENT), sizes[rest // EXTENT] == EXTENT))
    return np.concatenate([extents, rest[broken][: count - len(extents)]])
