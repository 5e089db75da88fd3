"""Direct paging: a PV guest writes its own page tables, and Xen checks every entry before the processor sees it.

The tables hold machine frame numbers, so the processor uses them as they are; nothing is translated a second time. In
return the guest may not write to them. It asks, by hypercall, and Xen checks two things: does the guest own what the
entry points at, and does the new use agree with all uses there are? A table is checked as a whole when it is first used
(*promoted*), with all that hangs below it. After that, one entry at a time. A **pin** holds a table's type, so that it
need not be checked again while no address space uses it.

Each call here is one of Xen's, done completely or not at all. One that Xen refuses raises `Refused`, with the error it
returns and the lines it logs.

Left out of the model: 32-bit guests, descriptor tables, memory-mapped devices, a linear mapping of another table than
the one itself, and the ways in which Xen interrupts long work and goes on with it later.

Source: xen/arch/x86/mm.c at tag RELEASE-4.17.7: get_page_from_l1e, promote_l*_table, _get_page_type, mod_l*_entry,
do_mmuext_op, do_mmu_update, new_guest_cr3. The tables' flags: arch_init_memory.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from xenlab.commands import XenlabError
from xenlab.memory.entries import ENTRIES, Entry, Flag
from xenlab.memory.frames import COW, FREE, IO, Frames, PageType

#: Entries of the root table in which Xen has its own memory (ROOT_PAGETABLE_FIRST_XEN_SLOT, ..._LAST_XEN_SLOT).
XEN_SLOTS = range(256, 272)
#: The low flags that a guest may use, on upper levels and on the lowest one.
_UPPER = int(Flag.PRESENT | Flag.RW | Flag.USER | Flag.ACCESSED | Flag.DIRTY) | 0xE00
_LOWEST = _UPPER | int(Flag.GLOBAL)
#: Flags whose change needs no check (FASTPATH_FLAG_WHITELIST).
_HARMLESS = Flag.NX | Flag.GLOBAL | Flag.DIRTY | Flag.ACCESSED | Flag.USER | Flag(0x7FF << 52 | 0xE00)

Table = npt.NDArray[np.uint64]
_EMPTY: Table = np.zeros(ENTRIES, dtype=np.uint64)
_EMPTY.flags.writeable = False


class Refused(XenlabError):
    """A call that Xen refused. Nothing has changed.

    `code` is the error it returned, such as ``EINVAL``; `log` are the lines it wrote meanwhile. Most of those are in
    debug builds of Xen only (gdprintk): a distribution's Xen just returns the error.
    """

    def __init__(self, what: str, number: int, log: tuple[str, ...]) -> None:
        # Linux has two names for 95, and Xen the longer one.
        self.code = "EOPNOTSUPP" if number == errno.EOPNOTSUPP else errno.errorcode[number]
        self.log = log
        super().__init__("\n".join([f"{what}: -{self.code}", *(f"(XEN) {line}" for line in log)]))


class _No(Exception):
    """The error number that a step gives back to the step above."""

    def __init__(self, number: int) -> None:
        self.number = number


class Paging:
    """The page tables of all PV guests of a machine, and Xen's checks of them.

    >>> frames = Frames(8)
    >>> table, page = frames.allocate(1, 2)
    >>> frames.m2p[[table, page]] = 16, 17
    >>> xen = Paging(frames)
    >>> xen.write(1, table, 0, Entry(page, Flag.PRESENT | Flag.RW))  # nobody minds yet
    >>> xen.pin(1, table, 1)  # now it is a table, and checked
    >>> frames[page].type.name, frames[page].type_count
    ('WRITABLE', 1)
    >>> xen.write(1, table, 1, Entry(table, Flag.PRESENT | Flag.RW))  # a writable mapping of a table
    Traceback (most recent call last):
    ...
    xenlab.memory.paging.Refused: mmu_update of slot 1 of mfn 00000 to 00000 PW: -EBUSY
    (XEN) Bad type (saw 2c00000000000001 != exp e000000000000000) for mfn 00000 (pfn 00010)
    (XEN) Could not get page type PGT_writable_page
    (XEN) Error getting mfn 00000 (pfn 00010) from L1 entry 0010000000000007 for l1e_owner d1, pg_owner d1
    """

    def __init__(self, frames: Frames) -> None:
        self.frames = frames
        self.tables: dict[int, Table] = {}  # what is in the frames that somebody has written entries to
        self.roots: dict[int, int] = {}  # the root table that each guest's processor uses, by domain
        self._log: list[str] = []

    def table(self, mfn: int) -> Table:
        """The 512 entries of a frame, zero if nobody has written any."""
        return self.tables.get(mfn, _EMPTY)

    def entry(self, mfn: int, slot: int) -> Entry:
        """One entry of a table."""
        return Entry.of(int(self.table(mfn)[slot]))

    # -- hypercalls

    def pin(self, domid: int, mfn: int, level: int) -> None:
        """Make a frame a page table of this level, and keep it one (MMUEXT_PIN_L1_TABLE to MMUEXT_PIN_L4_TABLE)."""
        with self._call(f"pin mfn {mfn:05x} as L{level}"):
            self._get_page(mfn, domid)
            try:
                self._get_type(mfn, PageType(level))
            except _No as no:
                self._say(f"Error -{no.number} while pinning mfn {mfn:05x}")
                self.frames.put(mfn)
                raise
            if self.frames.pinned[mfn]:
                self._say(f"mfn {mfn:05x} already pinned")
                self.put_page_and_type(mfn)
                raise _No(errno.EINVAL)
            self.frames.pinned[mfn] = True

    def unpin(self, domid: int, mfn: int) -> None:
        """Let go of a pinned table (MMUEXT_UNPIN_TABLE)."""
        with self._call(f"unpin mfn {mfn:05x}"):
            try:
                self._get_page(mfn, domid)
            except _No:
                self._say(f"mfn {mfn:05x} bad, or bad owner d{domid}")
                raise
            pinned = bool(self.frames.pinned[mfn])
            self.frames.pinned[mfn] = False
            if pinned:
                self.put_page_and_type(mfn)
            self.frames.put(mfn)
            if not pinned:
                self._say(f"mfn {mfn:05x} not pinned")
                raise _No(errno.EINVAL)

    def new_root(self, domid: int, mfn: int) -> None:
        """Let the guest's processor use this root table from now on (MMUEXT_NEW_BASEPTR)."""
        with self._call(f"new base pointer {mfn:05x}"):
            old = self.roots.get(domid)
            if mfn == old:
                return
            try:
                self._get_page_and_type(mfn, PageType.L4, domid)
            except _No:
                self._say(f"Error while installing new baseptr {mfn:05x}")
                raise
            self.roots[domid] = mfn
            if old is not None:
                self.put_page_and_type(old)

    def write(self, domid: int, mfn: int, slot: int, entry: Entry) -> None:
        """Write one entry (HYPERVISOR_mmu_update): as the frame's type demands, freely if it is no table."""
        with self._call(f"mmu_update of slot {slot} of mfn {mfn:05x} to {entry.mfn:05x} {entry.letters}"):
            try:
                self._get_page(mfn, domid)
            except _No:
                self._say("Could not get page for normal update")
                raise
            try:
                self._update(domid, int(mfn), slot, entry)
            finally:
                self.frames.put(mfn)

    def get_writable(self, domid: int, mfn: int) -> None:
        """Take a reference to a frame of this domain as a writable page, as a grant's mapping does."""
        with self._call(f"writable mapping of mfn {mfn:05x}"):
            self._get_page_and_type(mfn, PageType.WRITABLE, domid)

    def put_page_and_type(self, mfn: int) -> None:
        """Give back a use of a frame in its role, such as `get_writable` took."""
        self._put_type(mfn)
        self.frames.put(mfn)

    def drop(self, domid: int, mfn: int) -> None:
        """Take back the allocation of a frame (guest_remove_page): it is free once nothing uses it any more."""
        with self._call(f"free mfn {mfn:05x}"):
            self._get_page(mfn, domid)
        self.frames.put_allocation(mfn)
        self.frames.put(mfn)
        if self.frames.owner[mfn] == FREE:
            self.tables.pop(mfn, None)

    def tear_down(self, domid: int) -> None:
        """Let go of all page tables of a domain that ends (domain_relinquish_resources)."""
        root = self.roots.pop(domid, None)
        if root is not None:
            self.put_page_and_type(root)
        for mfn in np.flatnonzero((self.frames.owner == domid) & self.frames.pinned).tolist():
            self.unpin(domid, mfn)

    # -- the kinds of update

    def _update(self, domid: int, mfn: int, slot: int, new: Entry) -> None:
        kind = PageType(self.frames.type[mfn])
        in_use = self.frames.type_count[mfn] > 0
        if in_use and kind.is_table:
            self._change(domid, kind, mfn, slot, new)
        elif in_use and kind is not PageType.WRITABLE:
            raise _No(errno.EINVAL)
        else:
            if not in_use:
                self._get_type(mfn, PageType.WRITABLE)
                self._put_type(mfn)
            self._store(mfn, slot, new)

    def _change(self, domid: int, kind: PageType, mfn: int, slot: int, new: Entry) -> None:
        if kind is PageType.L4 and slot in XEN_SLOTS:
            self._say(f"L4 update in Xen-private area, slot {slot:#x}")
            raise _No(errno.EINVAL)
        old = self.entry(mfn, slot)
        self._check_flags(kind, new)
        new = new.adjusted(kind)
        if old.present and new.present and old.mfn == new.mfn and not (old.flags ^ new.flags) & ~_HARMLESS:
            self._store(mfn, slot, new)
            return
        if new.present:
            self._get_entry(domid, kind, mfn, new)
        self._store(mfn, slot, new)
        if old.present:
            self._put_entry(kind, mfn, old)

    def _store(self, mfn: int, slot: int, entry: Entry) -> None:
        self.tables.setdefault(mfn, np.zeros(ENTRIES, dtype=np.uint64))[slot] = entry.value

    # -- what an entry holds on to

    def _get_entry(self, domid: int, kind: PageType, mfn: int, entry: Entry) -> None:
        """Check one entry of a table, and take the references that it stands for."""
        self._check_flags(kind, entry)
        if kind is PageType.L1:
            self._get_leaf(domid, entry)
            return
        try:
            self._get_page_and_type(entry.mfn, PageType(kind - 1), domid)
        except _No:
            if entry.writable:
                self._say("Attempt to create linear p.t. with write perms")
                raise
            if entry.mfn != mfn:  # a table may map itself, to be read
                raise

    def _check_flags(self, kind: PageType, entry: Entry) -> None:
        bad = int(entry.flags) & 0xFFF & ~(_LOWEST if kind is PageType.L1 else _UPPER)
        if bad and entry.present:
            self._say(f"Bad L{kind:d} flags {bad:x}")
            raise _No(errno.EINVAL)

    def _get_leaf(self, domid: int, entry: Entry) -> None:
        """Check an entry that maps a page of memory (get_page_from_l1e)."""
        mfn = entry.mfn
        owner = int(self.frames.owner[mfn]) if mfn < len(self.frames) else IO
        if owner == IO:
            self._say(f"d{domid} non-privileged attempt to map MMIO space {mfn:05x}")
            raise _No(errno.EPERM)
        if owner not in (domid, COW):
            self._say(f"pg_owner d{domid} l1e_owner d{domid}, but real_pg_owner d{owner}")
            self._cannot_pin(domid, entry)
        if entry.writable:
            if owner == COW:  # unshare first
                self._cannot_pin(domid, entry)
            try:
                self._get_type(mfn, PageType.WRITABLE)
            except _No:
                self._say("Could not get page type PGT_writable_page")
                self._cannot_pin(domid, entry)
        self.frames.get(mfn)

    def _cannot_pin(self, domid: int, entry: Entry) -> None:
        self._say(
            f"Error getting mfn {entry.mfn:05x} (pfn {self._pfn(entry.mfn)}) from L1 entry "
            f"{entry.value:016x} for l1e_owner d{domid}, pg_owner d{domid}"
        )
        raise _No(errno.EBUSY)

    def _put_entry(self, kind: PageType, mfn: int, entry: Entry) -> None:
        if kind is not PageType.L1 and entry.mfn == mfn:
            return
        if kind is not PageType.L1 or entry.writable:
            self._put_type(entry.mfn)
        self.frames.put(entry.mfn)

    # -- counts

    def _get_page(self, mfn: int, domid: int) -> None:
        """Take a reference to a frame that must be this domain's (get_page)."""
        if not 0 <= mfn < len(self.frames):
            raise _No(errno.EINVAL)
        frame = self.frames[mfn]
        if frame.owner != domid:
            owner = "NULL" if frame.owner == FREE else f"d{frame.owner}"
            self._say(f"Error mfn {mfn:05x}: rd=d{domid} od={owner} {frame.words}")
            raise _No(errno.EINVAL)
        self.frames.get(mfn)

    def _get_page_and_type(self, mfn: int, kind: PageType, domid: int) -> None:
        self._get_page(mfn, domid)
        try:
            self._get_type(mfn, kind)
        except _No:
            self.frames.put(mfn)
            raise

    def _get_type(self, mfn: int, kind: PageType) -> None:
        """Count one more use of the frame in this role; a first one makes it take the role (_get_page_type)."""
        frames = self.frames
        saw = PageType(frames.type[mfn])
        if frames.type_count[mfn] > 0 and saw is not kind:
            if not (saw.is_table and kind.is_table and saw == kind + 1):  # it may be a table that maps itself
                self._say(
                    f"Bad type (saw {frames[mfn].taf:016x} != exp {kind << 61:016x}) "
                    f"for mfn {mfn:05x} (pfn {self._pfn(mfn)})"
                )
            raise _No(errno.EINVAL)
        if frames.type_count[mfn] == 0 and saw is not kind:
            frames.type[mfn], frames.validated[mfn] = kind, False
        frames.type_count[mfn] += 1
        if not frames.validated[mfn]:
            if kind.is_table:
                self._validate(mfn, kind)
            frames.validated[mfn] = True

    def _put_type(self, mfn: int) -> None:
        """Count one use less; a table that nobody uses lets go of all it maps."""
        self.frames.type_count[mfn] -= 1
        kind = PageType(self.frames.type[mfn])
        if self.frames.type_count[mfn] == 0 and kind.is_table:
            self.frames.validated[mfn] = False
            for _, entry in self._guest_entries(mfn, kind):
                self._put_entry(kind, mfn, entry)

    def _validate(self, mfn: int, kind: PageType) -> None:
        """Check a whole table: each entry takes its references, or none does (validate_page, promote_l*_table)."""
        domid = int(self.frames.owner[mfn])
        done: list[Entry] = []
        for slot, entry in self._guest_entries(mfn, kind):
            try:
                self._get_entry(domid, kind, mfn, entry)
            except _No as no:
                self._say(f"Failure -{no.number} in promote_l{kind:d}_table: slot {slot:#x}")
                for each in done:
                    self._put_entry(kind, mfn, each)
                self._say(
                    f"Error while validating mfn {mfn:05x} (pfn {self._pfn(mfn)}) for type {kind << 61:016x}: "
                    f"{self.frames[mfn].words}"
                )
                self.frames.type[mfn] = self.frames.type_count[mfn] = 0
                raise
            done.append(entry)
        for slot, entry in self._guest_entries(mfn, kind):
            self._store(mfn, slot, entry.adjusted(kind))

    def _guest_entries(self, mfn: int, kind: PageType) -> Iterator[tuple[int, Entry]]:
        """The entries of a table that are there and the guest's own."""
        table = self.table(mfn)
        for slot in np.flatnonzero(table & np.uint64(Flag.PRESENT)).tolist():
            if kind is not PageType.L4 or slot not in XEN_SLOTS:
                yield slot, Entry.of(int(table[slot]))

    # -- words

    def _pfn(self, mfn: int) -> str:
        """The page that a frame is, as Xen prints it."""
        return f"{int(self.frames.m2p[mfn]) & 0xFFFFFFFFFFFFFFFF:05x}"

    def _say(self, line: str) -> None:
        self._log.append(line)

    @contextmanager
    def _call(self, what: str) -> Iterator[None]:
        """Run a hypercall: what it says is kept, what it is refused is raised."""
        self._log = []
        try:
            yield
        except _No as no:
            raise Refused(what, no.number, tuple(self._log)) from None
