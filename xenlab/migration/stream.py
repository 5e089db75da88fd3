"""What is inside a file written by `xl save`, or the stream of `xl migrate`: three layers, one in the other.

::

    xl       header, and the domain's configuration as JSON          tools/xl/xl.h, xl_saverestore.c
    libxl    header, records: LIBXC_CONTEXT, emulator's state, END   docs/specs/libxl-migration-stream.pandoc
    libxc    two headers, records: PAGE_DATA, HVM_CONTEXT, ... END   docs/specs/libxc-migration-stream.pandoc

The libxc layer follows the record LIBXC_CONTEXT directly and ends with its own END; libxl's records then go
on.

`read_save` reads such a file from a file object in one pass; it never holds more than one record, and of
memory pages only a few hundred at a time. Contents of pages are counted, not kept.
"""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from xenlab.migration.pages import BATCH, PAGE_BYTES, MigrationError
from xenlab.migration.streamformat import (
    BROKEN,
    CHECKPOINT,
    DOMAIN_HEADER,
    END,
    GUEST_TYPES,
    HVM_DESCRIPTOR,
    HVM_TYPES,
    IMAGE_HEADER,
    IMAGE_ID,
    IMAGE_MARKER,
    IMAGE_VERSIONS,
    LIBXC_CONTEXT,
    LIBXC_RECORDS,
    LIBXL_HEADER,
    LIBXL_IDENT,
    LIBXL_RECORDS,
    LIBXL_VERSION,
    OPTIONAL,
    PAGE_DATA,
    PAGE_DATA_HEADER,
    PAGE_TYPES,
    PFN_MASK,
    RECORD_HEADER,
    RECORD_MAX,
    XL_BYTEORDER,
    XL_HEADER,
    XL_JSON,
    XL_MAGIC,
    XL_STREAM_V2,
)

if TYPE_CHECKING:
    import pandas as pd

_KEEP = 1 << 20
_CHUNK = 256 * PAGE_BYTES


class StreamError(MigrationError):
    """A file that is not a saved domain, or not a whole one."""


@dataclass(frozen=True)
class Record:
    """One record: its layer (`libxl` or `libxc`), type and name, where its body begins, and how long it is in bytes.

    `body` holds what is in it, except for PAGE_DATA and bodies over 1 MiB, where it is empty.
    """

    layer: str
    type: int
    name: str
    offset: int
    length: int
    body: bytes = field(default=b"", repr=False)

    @property
    def optional(self) -> bool:
        """May a reader that does not know it pass it over?"""
        return bool(self.type & OPTIONAL)


@dataclass(frozen=True)
class PageData:
    """What one PAGE_DATA record held: a batch of pages.

    `types` counts them by type; `with_data` came with contents, `zero` of them all zero. `first` and `last` are the
    lowest and highest page number; `start` and `end` where the record's body begins and ends in the stream.
    """

    types: Mapping[str, int]
    with_data: int
    zero: int
    first: int
    last: int
    start: int
    end: int

    @property
    def pages(self) -> int:
        """How many pages it held, with contents or without."""
        return sum(self.types.values())


@dataclass(frozen=True)
class SaveFile:
    """A saved domain as it was read: the fields of all headers, every record, and its pages counted.

    `config` is the domain's configuration (an empty dict if the file has none); `guest` is `x86 PV` or `x86 HVM`
    (which PVH guests are too); `batches` are its PAGE_DATA records; `size` is the length of the stream in bytes.
    """

    mandatory_flags: int
    optional_flags: int
    optional_bytes: int
    config: Mapping[str, object]
    libxl_version: int
    image_version: int
    guest: str
    page_bytes: int
    xen: tuple[int, int]
    records: tuple[Record, ...]
    batches: tuple[PageData, ...]
    size: int

    @property
    def page_types(self) -> Mapping[str, int]:
        """Pages by type. A page sent twice, as in a live migration, counts twice: here and below."""
        types: Counter[str] = Counter()
        for batch in self.batches:
            types.update(batch.types)
        return dict(types)

    @property
    def pages_with_data(self) -> int:
        """Pages that came with their contents."""
        return sum(batch.with_data for batch in self.batches)

    @property
    def zero_pages(self) -> int:
        """Pages that came with their contents, all of it zero."""
        return sum(batch.zero for batch in self.batches)

    @property
    def passes(self) -> tuple[tuple[PageData, ...], ...]:
        """The batches of each pass over memory: one pass in a saved file, the rounds in a live migration.

        The stream does not mark its rounds. But libxc sends each in order of page number and in full batches, so that
        one has ended where numbers fall or a batch was not full (`xg_sr_save.c: send_dirty_pages`).
        """
        passes: list[list[PageData]] = []
        before: PageData | None = None
        for batch in self.batches:
            if before is None or before.pages < BATCH or batch.first <= before.last:
                passes.append([])
            passes[-1].append(batch)
            before = batch
        return tuple(map(tuple, passes))

    def find(self, name: str) -> tuple[Record, ...]:
        """Return the records of this name, in order."""
        return tuple(record for record in self.records if record.name == name)

    def frame(self) -> pd.DataFrame:
        """Return a table with a row for each kind of record: layer, name, how many, and bytes in their bodies."""
        import pandas as pd

        rows = [(record.layer, record.name, 1, record.length) for record in self.records]
        table = pd.DataFrame(rows, columns=["layer", "name", "records", "bytes"])
        return table.groupby(["layer", "name"], sort=False, as_index=False).sum()


class _Source:
    """A file object read from front to back, which knows where it is and complains if it ends too soon."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.offset = 0

    def take(self, length: int, what: str) -> bytes:
        parts: list[bytes] = []
        missing = length
        while missing and (part := self.file.read(missing)):  # a pipe may give less than was asked for
            parts.append(part)
            missing -= len(part)
        self.offset += length - missing
        if missing:
            raise StreamError(
                f"the file ends at byte {self.offset}, {missing} bytes short of {what}: it was cut off"
            )
        return b"".join(parts)

    def unpack(self, layout: struct.Struct, what: str) -> tuple[int, ...]:
        return layout.unpack(self.take(layout.size, what))


class _Reader:
    """Reads the layers in turn and gathers what `SaveFile` reports."""

    def __init__(self, file: BinaryIO) -> None:
        self.source = _Source(file)
        self.records: list[Record] = []
        self.batches: list[PageData] = []

    def save_file(self) -> SaveFile:
        mandatory, optional, length, config = self.xl_header()
        libxl_version = self.libxl_header()
        image: tuple[int, str, int, tuple[int, int]] | None = None
        for record in self.layer("libxl", LIBXL_RECORDS):
            if record.type == LIBXC_CONTEXT:
                image = self.libxc()
        if image is None:
            raise StreamError("the libxl stream holds no LIBXC_CONTEXT: no memory was saved")
        version, guest, page_bytes, xen = image
        return SaveFile(
            mandatory_flags=mandatory,
            optional_flags=optional,
            optional_bytes=length,
            config=config,
            libxl_version=libxl_version,
            image_version=version,
            guest=guest,
            page_bytes=page_bytes,
            xen=xen,
            records=tuple(self.records),
            batches=tuple(self.batches),
            size=self.source.offset,
        )

    def xl_header(self) -> tuple[int, int, int, Mapping[str, object]]:
        start = self.source.take(len(XL_MAGIC), "the xl header")
        if start != XL_MAGIC:
            raise StreamError(
                f"a file saved by xl begins with {XL_MAGIC[:27]!r}; this one with {start[:16]!r}"
            )
        _, order, mandatory, optional, length = XL_HEADER.unpack(
            start + self.source.take(XL_HEADER.size - len(start), "the xl header")
        )
        if order != XL_BYTEORDER:
            raise StreamError(
                f"byteorder(={order:#010x}) must be {XL_BYTEORDER:#010x}: saved on another kind of host"
            )
        if unknown := mandatory & ~(XL_JSON | XL_STREAM_V2):
            raise StreamError(f"mandatory flags {unknown:#x} are not known: saved by a newer xl")
        if not mandatory & XL_STREAM_V2:
            raise StreamError(
                "this file is in the format of Xen 4.5 and earlier; only that of 4.6 and later is read"
            )
        return mandatory, optional, length, self.config(mandatory, length)

    def config(self, mandatory: int, length: int) -> Mapping[str, object]:
        """Read xl's optional data: a length, and that many bytes of configuration."""
        if not length:
            return {}
        if length > RECORD_MAX:
            raise StreamError(
                f"optional data(={length} bytes) must be at most {RECORD_MAX}: the header is damaged"
            )
        data = self.source.take(length, "the domain's configuration")
        size = int.from_bytes(data[:4], "little")
        if size > length - 4:
            raise StreamError(f"configuration(={size} bytes) must fit in the {length} bytes of optional data")
        try:
            text = data[4 : 4 + size].rstrip(b"\0").decode()
            config = json.loads(text) if mandatory & XL_JSON else {"xl.cfg": text}
        except ValueError as error:
            raise StreamError(f"the domain's configuration cannot be read: {error}") from error
        if not isinstance(config, dict):
            raise StreamError(f"the domain's configuration (={text[:40]!r}) must be a JSON object")
        return config

    def libxl_header(self) -> int:
        ident, version, options = LIBXL_HEADER.unpack(self.source.take(LIBXL_HEADER.size, "the libxl header"))
        if ident != LIBXL_IDENT or version != LIBXL_VERSION:
            raise StreamError(f"libxl header(={ident!r}, {version}) must be {LIBXL_IDENT!r}, {LIBXL_VERSION}")
        if options & 1:
            raise StreamError("the libxl stream is big-endian, which no Xen reads")
        return int(version)

    def libxc(self) -> tuple[int, str, int, tuple[int, int]]:
        marker, ident, version, options, _, _ = self.source.unpack(IMAGE_HEADER, "the image header")
        if marker != IMAGE_MARKER or ident != IMAGE_ID:
            raise StreamError(
                f"image header(={marker:#x}, {ident:#x}) must be {IMAGE_MARKER:#x}, {IMAGE_ID:#x}"
            )
        if version not in IMAGE_VERSIONS:
            raise StreamError(f"image version(={version}) must be one of {IMAGE_VERSIONS}")
        if options & 1:
            raise StreamError("the image is big-endian, which no Xen reads")
        kind, shift, _, major, minor = self.source.unpack(DOMAIN_HEADER, "the domain header")
        if kind not in GUEST_TYPES or 1 << shift != PAGE_BYTES:
            raise StreamError(
                f"domain header(=type {kind}, page shift {shift}) must be of type 1 or 2 and shift 12"
            )
        for record in self.layer("libxc", LIBXC_RECORDS):
            if record.type == CHECKPOINT:
                raise StreamError(
                    "this is a checkpointed (Remus) stream, which does not end; a saved domain does"
                )
        return version, GUEST_TYPES[kind], 1 << shift, (major, minor)

    def layer(self, layer: str, names: Mapping[int, str]) -> Iterator[Record]:
        """Yield a layer's records up to and with its END."""
        while True:
            kind, length = self.source.unpack(RECORD_HEADER, f"the {layer} records, before END")
            name = names.get(kind, f"{'optional' if kind & OPTIONAL else 'unknown'} {kind:#010x}")
            if length > RECORD_MAX:
                raise StreamError(
                    f"{layer} record {name} length(={length}) must be at most {RECORD_MAX}: damaged"
                )
            if kind not in names and not kind & OPTIONAL:
                raise StreamError(
                    f"{layer} record type {kind:#x} is mandatory and not known: saved by a newer Xen"
                )
            offset, body = self.source.offset, b""
            if layer == "libxc" and kind == PAGE_DATA:
                self.batches.append(self.page_data(length))
            elif length <= _KEEP:
                body = self.source.take(length, name)
            else:
                self.skip(length, name)
            self.source.take(-length % 8, f"the padding of {name}")
            record = Record(layer, kind, name, offset, length, body)
            self.records.append(record)
            yield record
            if kind == END:
                return

    def skip(self, length: int, what: str) -> None:
        for done in range(0, length, _CHUNK):
            self.source.take(min(_CHUNK, length - done), what)

    def page_data(self, length: int) -> PageData:
        """Read the body of one PAGE_DATA record: numbers and types of its pages, then the contents of some."""
        start = self.source.offset
        if length < PAGE_DATA_HEADER.size:
            raise StreamError(f"PAGE_DATA length(={length}) must be at least {PAGE_DATA_HEADER.size}")
        number, _ = self.source.unpack(PAGE_DATA_HEADER, "PAGE_DATA")
        if not 0 < number * 8 <= length - PAGE_DATA_HEADER.size:
            raise StreamError(f"PAGE_DATA count(={number}) must be at least 1 and fit in its {length} bytes")
        entries = np.frombuffer(self.source.take(number * 8, "PAGE_DATA"), dtype="<u8")
        types = (entries >> np.uint64(60)).astype(np.int64)
        by_type = np.bincount(types, minlength=16)
        if reserved := [kind for kind in range(16) if by_type[kind] and kind not in PAGE_TYPES]:
            raise StreamError(f"page types {reserved} are reserved: the stream is damaged")
        with_data = int(by_type[:BROKEN].sum())
        expected = PAGE_DATA_HEADER.size + number * 8 + with_data * PAGE_BYTES
        if length != expected:
            raise StreamError(
                f"PAGE_DATA length(={length}) must be {expected} for {number} pages, {with_data} with data"
            )
        zero = 0
        for done in range(0, with_data * PAGE_BYTES, _CHUNK):
            chunk = self.source.take(min(_CHUNK, with_data * PAGE_BYTES - done), "the pages of PAGE_DATA")
            contents = np.frombuffer(chunk, dtype="<u8").reshape(-1, PAGE_BYTES // 8)
            zero += contents.shape[0] - int(np.count_nonzero(contents.any(axis=1)))
        named = {PAGE_TYPES[kind]: int(by_type[kind]) for kind in PAGE_TYPES if by_type[kind]}
        pfns = entries & np.uint64(PFN_MASK)
        return PageData(named, with_data, zero, int(pfns.min()), int(pfns.max()), start, self.source.offset)


def read_save(file: BinaryIO) -> SaveFile:
    """Read a domain saved by `xl save`, or a recorded migration stream, from an open binary file (a pipe will do).

    Reads to the end of the stream, not further. Raises `StreamError` if the file is not a saved domain, was
    cut off, or is damaged, and says where.

    >>> import io
    >>> from xenlab.migration.streamwriter import write_save
    >>> file = io.BytesIO()
    >>> write_save(file, {"c_info": {"name": "web"}}, [(0, b"boot"), (1, b""), (2, None)])
    8572
    >>> _ = file.seek(0)
    >>> web = read_save(file)
    >>> web.guest, web.xen, web.page_types, web.zero_pages
    ('x86 HVM', (4, 17), {'NOTAB': 2, 'XTAB': 1}, 1)
    >>> [record.name for record in web.records][:4]
    ['LIBXC_CONTEXT', 'STATIC_DATA_END', 'optional 0xf86c6162', 'PAGE_DATA']
    """
    return _Reader(file).save_file()


def hvm_context(body: bytes) -> tuple[tuple[str, int, int], ...]:
    """Take the body of an HVM_CONTEXT record apart: what a guest is besides its memory.

    Returns (name, instance, bytes) for each part, such as ``("CPU", 0, 1032)`` for the registers of virtual
    CPU 0. Raises `StreamError` if the parts do not fill the body (`xen/include/public/hvm/save.h`:
    hvm_save_descriptor).
    """
    parts: list[tuple[str, int, int]] = []
    place = 0
    while place + HVM_DESCRIPTOR.size <= len(body):
        kind, instance, length = HVM_DESCRIPTOR.unpack_from(body, place)
        place += HVM_DESCRIPTOR.size + length
        parts.append((HVM_TYPES.get(kind, f"type {kind}"), instance, length))
        if kind == 0 and place == len(body):
            return tuple(parts)
    raise StreamError(f"HVM context of {len(body)} bytes must end with its END mark: the record is damaged")
