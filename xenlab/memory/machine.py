"""A machine's memory as Xen shares it out: frames, domains, and the two maps between pages and frames.

To itself a guest's memory is one piece, pages numbered from 0. Behind that are frames from anywhere in the machine:

* the **p2m** says for each page of a domain (pfn) which frame of the machine (mfn) it is;
* the **m2p** says for each frame which page of its owner it is. There is one for the whole machine.

A PV guest keeps its own p2m, and fills its page tables with mfns. For a PVH or HVM guest Xen keeps the p2m, as page
tables of a second stage, and the processor translates twice (`DomainMemory.translated`).

Sources, at tag RELEASE-4.17.7: xen/common/memory.c (populate_physmap, guest_remove_page), xen/common/page_alloc.c
(assign_pages), xen/common/grant_table.c (map_grant_ref).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xenlab.commands import XenlabError
from xenlab.memory.frames import INVALID, FrameNumbers, Frames
from xenlab.memory.paging import Paging

PageNumbers = npt.NDArray[np.int64]


@dataclass
class DomainMemory:
    """The memory of one domain: its p2m, and the most frames Xen lets it have (max_pages)."""

    domid: int
    p2m: FrameNumbers
    max_pages: int
    translated: bool = False

    @property
    def pages(self) -> PageNumbers:
        """The pages behind which there is a frame."""
        return np.flatnonzero(self.p2m != INVALID)


class Machine:
    """Frames, domains, and the calls by which memory goes to and fro.

    Args:
        frames: How many frames the machine has.
        xen: How many of them Xen keeps.

    >>> machine = Machine(64, xen=8)
    >>> web = machine.add(1, pages=16)
    >>> machine.release(1, [3, 4]), machine.frames.free
    (2, 42)
    >>> int(web.p2m[3]), machine.populate(1, [3]), int(web.p2m[3])
    (-1, 1, 24)
    >>> machine.page_of(24)
    3
    """

    def __init__(self, frames: int, xen: int = 0) -> None:
        self.frames = Frames(frames, xen)
        self.paging = Paging(self.frames)
        self.domains: dict[int, DomainMemory] = {}
        self.log: list[str] = []  # what Xen has said, also where it refused nothing

    def add(
        self,
        domid: int,
        pages: int,
        *,
        room: int | None = None,
        max_pages: int | None = None,
        translated: bool = False,
    ) -> DomainMemory:
        """Make a domain with memory for its first `pages` pages.

        Args:
            domid: Its number.
            pages: How many pages have a frame from the start.
            room: How many pages its p2m has room for; as many, unless given.
            max_pages: The most frames that Xen lets it have; as many as `room`, unless given.
            translated: Is it a PVH or HVM guest?

        Raises:
            OutOfFrames: The machine has fewer free frames.

        """
        if domid in self.domains:
            raise XenlabError(f"domid(={domid}) must be a new one")
        room = pages if room is None else room
        p2m = np.full(room, INVALID, dtype=np.int64)
        domain = DomainMemory(domid, p2m, room if max_pages is None else max_pages, translated)
        self._fill(domain, np.arange(pages))
        self.domains[domid] = domain
        return domain

    def remove(self, domid: int) -> None:
        """End a domain. Its frames are free at once, but for those that another domain still maps."""
        del self.domains[domid]
        self.paging.tear_down(domid)
        for mfn in np.flatnonzero(self.frames.owner == domid).tolist():
            self.frames.put_allocation(mfn)

    def frame_of(self, domid: int, pfn: int) -> int | None:
        """The frame behind a domain's page; None if there is none."""
        p2m = self.domains[domid].p2m
        mfn = int(p2m[pfn]) if 0 <= pfn < len(p2m) else INVALID
        return None if mfn == INVALID else mfn

    def page_of(self, mfn: int) -> int | None:
        """The page of its owner that a frame is, by the m2p; None if it is no guest's, or several guests'."""
        pfn = int(self.frames.m2p[mfn])
        return None if pfn == INVALID else pfn

    def pages_of(self, domid: int) -> int:
        """How many frames a domain has, as Xen counts them (tot_pages)."""
        return self.frames.owned_by(domid)

    # -- what a balloon driver calls

    def populate(self, domid: int, pfns: Sequence[int] | PageNumbers) -> int:
        """Put frames behind pages that have none (XENMEM_populate_physmap); return for how many of them.

        It stops where the domain would have more than its maximum, or the machine has no frame left.
        """
        domain, asked = self.domains[domid], np.asarray(pfns, dtype=np.int64)
        allowed = domain.max_pages - self.pages_of(domid)
        count = min(len(asked), max(allowed, 0), self.frames.free)
        self._fill(domain, asked[:count])
        if count < len(asked) and count == allowed:
            self.log.append(f"Over-allocation for d{domid}: {domain.max_pages + 1} > {domain.max_pages}")
        return count

    def release(self, domid: int, pfns: Sequence[int] | PageNumbers) -> int:
        """Take frames away from a domain's pages (XENMEM_decrease_reservation); return from how many pages.

        A frame that is still used, in a page table or by another domain, stays allocated until that use ends.
        """
        domain, asked = self.domains[domid], np.asarray(pfns, dtype=np.int64)
        mfns = domain.p2m[asked]
        held = np.flatnonzero(mfns == INVALID)
        mfns = mfns[: held[0]] if len(held) else mfns
        for mfn in mfns.tolist():
            self.paging.drop(domid, mfn)
        domain.p2m[asked[: len(mfns)]] = INVALID
        return len(mfns)

    def build(self, domid: int, pages: int, room: int) -> None:
        """Give an empty domain its first `pages` pages, and a p2m with room for `room`: dom0 does so when it builds it.

        Raises `OutOfFrames` if the machine has fewer.
        """
        domain = self.domains[domid]
        domain.p2m = np.full(max(pages, room), INVALID, dtype=np.int64)
        domain.max_pages = len(domain.p2m)
        self._fill(domain, np.arange(pages))

    def _fill(self, domain: DomainMemory, pfns: PageNumbers) -> None:
        if np.any(domain.p2m[pfns] != INVALID):
            raise XenlabError(f"pfns of d{domain.domid} must have no frame yet: release them first")
        mfns = self.frames.allocate(domain.domid, len(pfns))
        domain.p2m[pfns], self.frames.m2p[mfns] = mfns, pfns

    # -- pages lent to another domain

    def lend(self, domid: int, pfn: int, *, readonly: bool = False) -> int:
        """Map a domain's page into another domain, as a grant allows it to (GNTTABOP_map_grant_ref); return its frame.

        The mapping counts: a frame that is lent can be neither freed nor, if lent for writing, become a page table.

        Raises:
            Refused: It is to be written, and is in use as a page table.
            XenlabError: There is no frame behind that page.

        """
        mfn = self.frame_of(domid, pfn)
        if mfn is None:
            raise XenlabError(f"pfn(={pfn}) of d{domid} must have a frame")
        if readonly:
            self.frames.get(mfn)
        else:
            self.paging.get_writable(domid, mfn)
        return mfn

    def give_back(self, mfn: int, *, readonly: bool = False) -> None:
        """End such a mapping (GNTTABOP_unmap_grant_ref)."""
        if readonly:
            self.frames.put(mfn)
        else:
            self.paging.put_page_and_type(mfn)
