"""Requests and responses of a paravirtual disk, byte for byte (blkif).

A request says: read or write these sectors, and here are the pages for them. A page is named by its grant
reference and used from one 512-byte sector to another, both included; a request carries up to 11 such
*segments*, hence up to 44 KiB. It is 112 bytes long, a response 16, so a 4 KiB ring has 32 slots and at
most 1.375 MiB can be on its way. Larger requests put their segments on pages of their own (`Indirect`).

Source: xen/include/public/io/blkif.h, x86-64 layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple

from xenlab.commands import XenlabError
from xenlab.devices.ring import PAGE_SIZE, Layout, Protocol

SECTOR_SIZE = 512
SECTORS_PER_PAGE = PAGE_SIZE // SECTOR_SIZE
MAX_SEGMENTS_PER_REQUEST = 11
MAX_INDIRECT_PAGES_PER_REQUEST = 8

READ, WRITE, WRITE_BARRIER, FLUSH_DISKCACHE, RESERVED_1, DISCARD, INDIRECT = range(7)
OPERATIONS = ("READ", "WRITE", "WRITE_BARRIER", "FLUSH_DISKCACHE", "RESERVED_1", "DISCARD", "INDIRECT")

OKAY, ERROR, EOPNOTSUPP = 0, -1, -2

VDISK_CDROM, VDISK_REMOVABLE, VDISK_READONLY = 1, 2, 4

_SEGMENT = Struct("<IBB2x")
_NR_SECTORS = Struct("<Q")
_INDIRECT = Struct("<H2x8I")

SEGMENTS_PER_INDIRECT_PAGE = PAGE_SIZE // _SEGMENT.size


class Segment(NamedTuple):
    """One page of a request, used from `first_sect` to `last_sect`, both included (0 to 7)."""

    gref: int
    first_sect: int = 0
    last_sect: int = SECTORS_PER_PAGE - 1


def pack_segments(segments: Sequence[Segment]) -> bytes:
    """Return the segments as they lie in a request or on an indirect page, 8 bytes each.

    >>> pack_segments([Segment(gref=8), Segment(gref=511, first_sect=2, last_sect=5)]).hex(" ", 8)
    '0800000000070000 ff01000002050000'
    """
    return b"".join(_SEGMENT.pack(gref, first, last) for gref, first, last in segments)


def unpack_segments(data: bytes | memoryview, count: int) -> list[Segment]:
    """Return the first `count` segments in `data`, which must hold them all."""
    size = _SEGMENT.size
    return [Segment(*fields) for fields in _SEGMENT.iter_unpack(bytes(data[: count * size]))]


class Request(NamedTuple):
    """A request as it lies in its slot: 24 bytes of fields, then room for 11 segments (struct blkif_request).

    `seg` is that room as bytes. What it means depends on `operation`: `segments` reads it as a list of pages,
    `Discard` and `Indirect` see other structures there, as C does with a cast.

    >>> request = Request(READ, 1, 51712, id=7, sector_number=2048, seg=pack_segments([Segment(gref=8)]))
    >>> request.segments
    [Segment(gref=8, first_sect=0, last_sect=7)]
    """

    operation: int
    nr_segments: int = 0
    handle: int = 0
    id: int = 0
    sector_number: int = 0
    seg: bytes = b""

    @property
    def segments(self) -> list[Segment]:
        """The segments in the request itself; raises `XenlabError` if it claims more than it has room for."""
        if self.nr_segments > MAX_SEGMENTS_PER_REQUEST:
            raise XenlabError(f"nr_segments(={self.nr_segments}) must be at most {MAX_SEGMENTS_PER_REQUEST}")
        return unpack_segments(self.seg, self.nr_segments)


class Discard(NamedTuple):
    """A run of sectors no longer in use (struct blkif_request_discard)."""

    id: int
    sector_number: int
    nr_sectors: int
    flag: int = 0
    handle: int = 0

    @classmethod
    def of(cls, request: Request) -> Discard:
        """Read a request of operation DISCARD as what it is."""
        _, flag, handle, id, sector_number, seg = request
        return cls(id, sector_number, _NR_SECTORS.unpack_from(seg)[0], flag, handle)

    def request(self) -> Request:
        """Return it as it lies in a slot."""
        return Request(
            DISCARD, self.flag, self.handle, self.id, self.sector_number, _NR_SECTORS.pack(self.nr_sectors)
        )


class Indirect(NamedTuple):
    """A read or write whose segments lie on granted pages, 512 to a page (struct blkif_request_indirect)."""

    indirect_op: int
    nr_segments: int
    id: int
    sector_number: int
    indirect_grefs: tuple[int, ...]
    handle: int = 0

    @classmethod
    def of(cls, request: Request) -> Indirect:
        """Read a request of operation INDIRECT as what it is; unused grant references are dropped."""
        _, indirect_op, nr_segments, id, sector_number, seg = request
        handle, *grefs = _INDIRECT.unpack_from(seg)
        return cls(
            indirect_op, nr_segments, id, sector_number, tuple(grefs[: indirect_pages(nr_segments)]), handle
        )

    def request(self) -> Request:
        """Return it as it lies in a slot."""
        unused = (0,) * (MAX_INDIRECT_PAGES_PER_REQUEST - len(self.indirect_grefs))
        seg = _INDIRECT.pack(self.handle, *self.indirect_grefs, *unused)
        return Request(INDIRECT, self.indirect_op, self.nr_segments, self.id, self.sector_number, seg)


def indirect_pages(segments: int) -> int:
    """Return how many pages hold that many segments: ceil(segments / 512)."""
    return -(-segments // SEGMENTS_PER_INDIRECT_PAGE)


class Response(NamedTuple):
    """The answer to a request: its `id` and `operation` again, and a `status` (struct blkif_response)."""

    id: int
    operation: int
    status: int = OKAY


class _RequestLayout(Layout[Request]):
    def write(self, page: memoryview, offset: int, entry: Request) -> None:
        operation, nr_segments, handle, id, sector_number, seg = entry
        self.struct.pack_into(page, offset, operation, nr_segments, handle, id, sector_number, seg)


class _ResponseLayout(Layout[Response]):
    def write(self, page: memoryview, offset: int, entry: Response) -> None:
        id, operation, status = entry
        self.struct.pack_into(page, offset, id, operation, status)


# Fields passed one by one, as these two do, cost half of what `*entry` does; and they run once a request.
REQUEST = _RequestLayout(Request, "<BBH4xQQ88s")
RESPONSE = _ResponseLayout(Response, "<QBxh4x")

#: What travels on a disk's ring.
PROTOCOL = Protocol("blkif", REQUEST, RESPONSE)
