"""Grant tables: how a guest lends single pages of its memory to another domain, and takes them back.

A guest writes an entry into its grant table, a page it shares with Xen: "domain 0 may use my frame 17". The
number of the entry, the *grant reference*, is what it hands to the other domain, on a ring or through
xenstore. That domain asks Xen to map it. Xen believes only the table: it checks that the entry is valid,
names the caller, and that the frame belongs to the granter; then it marks the entry as in use. An entry in
use cannot be revoked, so a mapped page never disappears under the backend's hands.

An entry of version 1 is 8 bytes: flags u16, domid u16, frame u32; 512 of them fit on a page.

Sources: xen/include/public/grant_table.h; xen/common/grant_table.c: map_grant_ref, _set_status_v1,
unmap_common, reduce_status_for_pin.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from struct import Struct

from xenlab.commands import XenlabError
from xenlab.devices.ring import PAGE_SIZE

_ENTRY = Struct("<HHI")
_FLAGS = Struct("<H")
ENTRIES_PER_PAGE = PAGE_SIZE // _ENTRY.size
#: The first references are kept for the console, xenstore and what may follow (GNTTAB_NR_RESERVED_ENTRIES).
RESERVED_ENTRIES = 8
#: Pages a grant table may grow to (gnttab_max_frames).
MAX_FRAMES = 64


class GTF(IntFlag):
    """Flags of an entry; the low two bits are its type. Xen sets READING and WRITING, the guest the rest."""

    INVALID = 0
    PERMIT_ACCESS = 1
    ACCEPT_TRANSFER = 2
    TRANSITIVE = 3
    READONLY = 1 << 2
    READING = 1 << 3
    WRITING = 1 << 4
    SUB_PAGE = 1 << 8


_TYPE_AND_SUB_PAGE = 0b11 | GTF.SUB_PAGE
_IN_USE = GTF.READING | GTF.WRITING


class GrantStatus(IntEnum):
    """What Xen answers to a grant operation (GNTST_*)."""

    OKAY = 0
    GENERAL_ERROR = -1
    BAD_DOMAIN = -2
    BAD_GNTREF = -3
    BAD_HANDLE = -4
    BAD_VIRT_ADDR = -5
    BAD_DEV_ADDR = -6
    NO_DEVICE_SPACE = -7
    PERMISSION_DENIED = -8
    BAD_PAGE = -9
    BAD_COPY_ARG = -10
    ADDRESS_TOO_BIG = -11
    EAGAIN = -12
    NO_SPACE = -13

    @property
    def message(self) -> str:
        """The words that the header gives for it (GNTTABOP_error_msgs)."""
        return _MESSAGES[-self]


_MESSAGES = (
    "okay",
    "undefined error",
    "unrecognised domain id",
    "invalid grant reference",
    "invalid mapping handle",
    "invalid virtual address",
    "invalid device address",
    "no spare translation slot in the I/O MMU",
    "permission denied",
    "bad page",
    "copy arguments cross page boundary",
    "page address size too large",
    "operation not done; try again",
    "out of space",
)


class GrantError(XenlabError):
    """A grant operation that Xen refused; `.status` is the code it answered."""

    def __init__(self, status: GrantStatus, why: str) -> None:
        self.status = status
        super().__init__(f"{why}: {status.message} (GNTST {status:d})")


class Memory:
    """The machine's memory: frames of 4 KiB, numbered, each owned by one domain.

    >>> memory = Memory()
    >>> frame = memory.allocate(domid=1)
    >>> memory.owner(frame), len(memory[frame])
    (1, 4096)
    """

    def __init__(self) -> None:
        self._frames: dict[int, tuple[int, memoryview]] = {}
        self._next = 1

    def allocate(self, domid: int) -> int:
        """Give the domain a frame of zeros; return its number."""
        frame = self._next
        self._next += 1
        self._frames[frame] = (domid, memoryview(bytearray(PAGE_SIZE)))
        return frame

    def free(self, frame: int) -> None:
        """Take a frame back from its owner."""
        del self._frames[frame]

    def owner(self, frame: int) -> int | None:
        """Return the domain that owns the frame; None if there is no such frame."""
        found = self._frames.get(frame)
        return found[0] if found else None

    def __getitem__(self, frame: int) -> memoryview:
        return self._frames[frame][1]


class GrantTable:
    """A guest's own side of its grant table: it issues and revokes entries, Xen reads them.

    Arguments: `memory`, the machine's; `domid`, the guest. The table starts with one page and grows to
    `max_frames`.

    >>> memory = Memory()
    >>> table = GrantTable(memory, domid=1)
    >>> gref = table.grant(memory.allocate(1), to=0, readonly=True)
    >>> gref, table.entry(gref)
    (8, (<GTF.PERMIT_ACCESS|READONLY: 5>, 0, 2))
    >>> table.revoke(gref)
    True
    """

    def __init__(self, memory: Memory, domid: int, max_frames: int = MAX_FRAMES) -> None:
        self.domid = domid
        self.max_frames = max_frames
        self._memory = memory
        self._pages: list[memoryview] = []
        self._unused: list[int] = []
        self._grow()

    def __len__(self) -> int:
        return len(self._pages) * ENTRIES_PER_PAGE

    def _grow(self) -> None:
        if len(self._pages) == self.max_frames:
            raise GrantError(
                GrantStatus.NO_SPACE, f"the grant table of d{self.domid} has {len(self)} entries, all used"
            )
        first = len(self) or RESERVED_ENTRIES
        self._pages.append(self._memory[self._memory.allocate(self.domid)])
        self._unused = list(range(len(self) - 1, first - 1, -1))

    def at(self, gref: int) -> tuple[memoryview, int]:
        """Return where an entry lies: its page, and its offset there."""
        page, index = divmod(gref, ENTRIES_PER_PAGE)
        return self._pages[page], index * _ENTRY.size

    def entry(self, gref: int) -> tuple[GTF, int, int]:
        """Return an entry's flags, the domain it names, and the frame."""
        flags, domid, frame = _ENTRY.unpack_from(*self.at(gref))
        return GTF(flags), domid, frame

    def grant(self, frame: int, to: int, *, readonly: bool = False) -> int:
        """Let domain `to` map `frame`; return the grant reference.

        The flags go last: they make the entry valid, and Xen may look at any moment. Nothing checks here
        that the frame is one's own; Xen does when it is mapped. Raises `GrantError` (out of space) if the
        table is full.
        """
        if not self._unused:
            self._grow()
        gref = self._unused.pop()
        page, offset = self.at(gref)
        _ENTRY.pack_into(page, offset, GTF.INVALID, to, frame)
        _FLAGS.pack_into(page, offset, GTF.PERMIT_ACCESS | (GTF.READONLY if readonly else 0))
        return gref

    def revoke(self, gref: int) -> bool:
        """Make an entry invalid again; return False, and change nothing, if it is mapped.

        A real guest does this by compare-and-exchange, lest Xen map the page between the look and the write.
        """
        page, offset = self.at(gref)
        if _FLAGS.unpack_from(page, offset)[0] & _IN_USE:
            return False
        _ENTRY.pack_into(page, offset, GTF.INVALID, 0, 0)
        self._unused.append(gref)
        return True


@dataclass(frozen=True)
class Mapping:
    """A granted page in another domain's address space: until it is unmapped, `view` is the page itself."""

    handle: int
    domid: int
    gref: int
    readonly: bool
    view: memoryview


@dataclass
class _Active:
    """What Xen remembers of an entry in use: who maps which frame, how often (active_grant_entry)."""

    mapper: int
    frame: int
    readers: int = 0
    writers: int = 0


@dataclass
class Grants:
    """Xen's side of all grant tables: the hypercalls that map and unmap.

    >>> memory = Memory()
    >>> grants = Grants(memory)
    >>> guest = grants.add_domain(1)
    >>> frame = memory.allocate(1)
    >>> gref = guest.grant(frame, to=0)
    >>> mapping = grants.map(0, 1, gref)
    >>> mapping.view[:3] = b"xen"                # domain 0 writes into the guest's page
    >>> bytes(memory[frame][:3])
    b'xen'
    >>> guest.revoke(gref)                       # not while it is mapped
    False
    >>> grants.unmap(0, mapping)
    >>> guest.revoke(gref)
    True
    >>> grants.map(0, 1, gref)
    Traceback (most recent call last):
    ...
    xenlab.devices.grants.GrantError: grant 8 of d1 is not an open grant to d0: undefined error (GNTST -1)
    """

    memory: Memory
    tables: dict[int, GrantTable] = field(default_factory=dict)
    mapped: int = 0  # mappings made since the machine started
    _active: dict[tuple[int, int], _Active] = field(default_factory=dict)
    _mappings: dict[tuple[int, int], Mapping] = field(default_factory=dict)

    def add_domain(self, domid: int) -> GrantTable:
        """Give a domain its grant table and return it."""
        self.tables[domid] = GrantTable(self.memory, domid)
        return self.tables[domid]

    def map(self, mapper: int, granter: int, gref: int, *, readonly: bool = False) -> Mapping:
        """Map the page of a grant into domain `mapper` (GNTTABOP_map_grant_ref).

        Raises `GrantError` if there is no such domain or reference, if the entry is not an open grant to
        this domain, if a read-only grant is to be mapped for writing, or if the frame is not the granter's.
        """
        table = self.tables.get(granter)
        if table is None:
            raise GrantError(GrantStatus.BAD_DOMAIN, f"there is no d{granter}")
        if not 0 <= gref < len(table):
            raise GrantError(GrantStatus.BAD_GNTREF, f"grant {gref} is outside the table of d{granter}")
        active = self._active.get((granter, gref))
        if active and active.mapper != mapper:
            raise GrantError(
                GrantStatus.GENERAL_ERROR, f"grant {gref} of d{granter} is mapped by d{active.mapper}"
            )
        if active is None:
            active = _Active(mapper, self._check(table, gref, mapper))
        if not (readonly and active.readers) and not active.writers:
            self._set_status(table, gref, readonly=readonly)
        if readonly:
            active.readers += 1
        else:
            active.writers += 1
        self._active[granter, gref] = active
        self.mapped += 1
        page = self.memory[active.frame]
        mapping = Mapping(self.mapped, granter, gref, readonly, page.toreadonly() if readonly else page[:])
        self._mappings[mapper, mapping.handle] = mapping
        return mapping

    def _check(self, table: GrantTable, gref: int, mapper: int) -> int:
        """Check an entry that is not in use yet; return its frame (_set_status_v1, get_paged_frame)."""
        flags, domid, frame = table.entry(gref)
        grant = f"grant {gref} of d{table.domid}"
        if flags & _TYPE_AND_SUB_PAGE != GTF.PERMIT_ACCESS or domid != mapper:
            raise GrantError(GrantStatus.GENERAL_ERROR, f"{grant} is not an open grant to d{mapper}")
        if self.memory.owner(frame) != table.domid:
            raise GrantError(
                GrantStatus.BAD_PAGE, f"{grant} names frame {frame}, which d{table.domid} does not own"
            )
        return frame

    def _set_status(self, table: GrantTable, gref: int, *, readonly: bool) -> None:
        """Mark an entry in use, unless it is read-only and to be written (_set_status_v1).

        Xen does this by compare-and-exchange, and gives up if the guest changes the entry five times over.
        """
        page, offset = table.at(gref)
        flags = _FLAGS.unpack_from(page, offset)[0]
        if flags & GTF.READONLY and not readonly:
            why = f"grant {gref} of d{table.domid} is read-only and cannot be mapped for writing"
            raise GrantError(GrantStatus.GENERAL_ERROR, why)
        _FLAGS.pack_into(page, offset, flags | (GTF.READING if readonly else _IN_USE))

    def unmap(self, mapper: int, mapping: Mapping) -> None:
        """End a mapping of domain `mapper` (GNTTABOP_unmap_grant_ref); its `view` can no longer be used.

        When the last mapping for writing goes, Xen clears the entry's WRITING; with the last of all, READING.
        Raises `GrantError` (invalid mapping handle) if the domain has no such mapping.
        """
        if self._mappings.pop((mapper, mapping.handle), None) is None:
            raise GrantError(GrantStatus.BAD_HANDLE, f"d{mapper} has no mapping {mapping.handle}")
        mapping.view.release()
        key = mapping.domid, mapping.gref
        active = self._active[key]
        if mapping.readonly:
            active.readers -= 1
        else:
            active.writers -= 1
        page, offset = self.tables[mapping.domid].at(mapping.gref)
        flags = _FLAGS.unpack_from(page, offset)[0]
        if not active.writers:
            flags &= ~GTF.WRITING
        if not active.writers and not active.readers:
            flags &= ~GTF.READING
            del self._active[key]
        _FLAGS.pack_into(page, offset, flags)
