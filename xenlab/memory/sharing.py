"""Copy-on-write between guests: one frame stands for equal pages of several guests, until one of them writes.

A tool in dom0 finds pages with the same content; Xen does not compare them. It **nominates** a page of each guest: the
frame is read-only now, and belongs to a domain of Xen's own (DOMID_COW). Then it **shares** the two: one frame serves
both, the other is free. When a guest writes, the processor faults, and Xen gives that guest a copy.

It needs tables that Xen keeps for the guest, so no PV guest can have it; Xen 4.17 has it for HVM guests on Intel alone.
Source: xen/arch/x86/mm/mem_sharing.c at tag RELEASE-4.17.7 (nominate_page, page_make_sharable, share_pages,
__mem_sharing_unshare_page).
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, field

from xenlab.memory.frames import COW, INVALID, FrameNumbers, PageType
from xenlab.memory.machine import Machine
from xenlab.memory.paging import Refused

Page = tuple[int, int]  # domain and page number


@dataclass
class Sharing:
    """Pages of a machine's guests that share frames.

    >>> machine = Machine(16)
    >>> for domid in (1, 2):
    ...     _ = machine.add(domid, pages=4, translated=True)
    >>> sharing = Sharing(machine)
    >>> for domid in (1, 2):
    ...     sharing.nominate(domid, 0)
    >>> sharing.share((1, 0), (2, 0))
    >>> machine.frames.free, sharing.saved
    (9, 1)
    >>> sharing.write(2, 0)  # now d2 gets a page of its own
    >>> machine.frames.free, sharing.saved
    (8, 0)
    """

    machine: Machine
    users: dict[int, set[Page]] = field(default_factory=dict)  # whose pages each shared frame is

    @property
    def saved(self) -> int:
        """Frames that sharing saves (xl info: sharing_freed_memory)."""
        return sum(len(pages) - 1 for pages in self.users.values())

    def nominate(self, domid: int, pfn: int) -> None:
        """Make a page one that can be shared.

        Raises:
            Refused: There is no frame, the guest's tables are its own, or the frame is in use in another way.

        """
        mfn = self.machine.frame_of(domid, pfn)
        if mfn in self.users:
            return
        what = f"nominate page {pfn:#x} of d{domid}"
        if not self.machine.domains[domid].translated:
            raise Refused(what, errno.EOPNOTSUPP, ())
        if mfn is None:
            raise Refused(what, errno.EINVAL, ())
        frames = self.machine.frames
        frame = frames[mfn]
        if frame.type_count:
            raise Refused(what, errno.EINVAL, ())
        if frame.references > 1:
            raise Refused(what, errno.E2BIG, ())
        frames.owner[mfn], frames.m2p[mfn] = COW, INVALID
        self._hold(mfn, 1)
        self.users[mfn] = {(domid, pfn)}

    def share(self, source: Page, client: Page) -> None:
        """Let the frame of the page `source` serve the page `client` too; that one's own frame is free.

        Raises:
            Refused: One of them has not been nominated.

        """
        kept, freed = (self.machine.frame_of(*page) for page in (source, client))
        if kept not in self.users or freed not in self.users or kept is None or freed is None:
            raise Refused(f"share {source} with {client}", errno.EINVAL, ())
        if kept == freed:
            return
        moved = self.users.pop(freed)
        for domid, pfn in moved:
            self._p2m(domid)[pfn] = kept
        self.users[kept] |= moved
        self._hold(kept, len(moved))
        self._hold(freed, -len(moved))
        self.machine.frames.put_allocation(freed)

    def write(self, domid: int, pfn: int) -> None:
        """Let the guest write to its page: one that is shared gets a frame of its own first.

        Raises:
            OutOfFrames: There is none; the guest waits until there is.

        """
        mfn = self.machine.frame_of(domid, pfn)
        if mfn not in self.users or mfn is None:
            return
        frames = self.machine.frames
        if len(self.users[mfn]) == 1:  # the last one keeps the frame
            del self.users[mfn]
            self._hold(mfn, -1)
            frames.type[mfn], frames.validated[mfn] = PageType.NONE, False
            frames.owner[mfn], frames.m2p[mfn] = domid, pfn
            return
        (own,) = frames.allocate(domid, 1).tolist()
        self.users[mfn].discard((domid, pfn))
        self._hold(mfn, -1)
        self._p2m(domid)[pfn], frames.m2p[own] = own, pfn

    def forget(self, domid: int) -> None:
        """Take a domain that ends out of all sharing; frames that nobody else uses are free."""
        for mfn, pages in list(self.users.items()):
            gone = {page for page in pages if page[0] == domid}
            self._hold(mfn, -len(gone))
            if gone == pages:
                del self.users[mfn]
                self.machine.frames.put_allocation(mfn)
            pages -= gone

    def _hold(self, mfn: int, uses: int) -> None:
        """Count uses of a frame as a shared one: each is a reference, and one of its type."""
        frames = self.machine.frames
        frames.type[mfn], frames.validated[mfn] = PageType.SHARED, True
        frames.references[mfn] += uses
        frames.type_count[mfn] += uses

    def _p2m(self, domid: int) -> FrameNumbers:
        return self.machine.domains[domid].p2m
