"""Writing a file in the format of `xl save`: for tests, and for a simulated dom0 that saves and restores guests.

The layout is that of a PVH guest saved by Xen 4.17, record by record (`xg_sr_save.c: save`,
`xg_sr_save_x86_hvm.c`). What a simulated guest does not have, its registers, is left zero: such a file can be
read by all who read the format, but a real Xen would have nothing to start from it. It carries an optional
record that says so.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import BinaryIO

from xenlab.migration.pages import BATCH, PAGE_BYTES
from xenlab.migration.stream import StreamError
from xenlab.migration.streamformat import (
    DOMAIN_HEADER,
    END,
    HVM_DESCRIPTOR,
    HVM_FILE_MAGIC,
    IMAGE_HEADER,
    IMAGE_ID,
    IMAGE_MARKER,
    LIBXC_CONTEXT,
    LIBXC_RECORDS,
    LIBXL_HEADER,
    LIBXL_IDENT,
    LIBXL_VERSION,
    OPTIONAL,
    PAGE_DATA,
    PAGE_DATA_HEADER,
    RECORD_HEADER,
    XL_BYTEORDER,
    XL_HEADER,
    XL_JSON,
    XL_MAGIC,
    XL_STREAM_V2,
    XTAB,
)

#: The optional record in which xenlab says that a guest was simulated, and keeps what it needs to restore it.
SIMULATED = OPTIONAL | 0x786C6162  # "xlab"

_NUMBER = {name: number for number, name in LIBXC_RECORDS.items()}
_HVM = 2
_STORE_PFN, _CONSOLE_PFN = 1, 17  # xen/include/public/hvm/params.h

#: A page: its number, and its contents (filled up with zeros if short) or None where the guest has no memory.
Page = tuple[int, bytes | None]


def write_save(
    file: BinaryIO,
    config: Mapping[str, object],
    pages: Iterable[Page],
    *,
    xen: tuple[int, int] = (4, 17),
    note: bytes = b"simulated",
) -> int:
    """Write a saved domain to an open binary file and return how many bytes it has.

    `config` is the domain's configuration, stored as JSON; `pages` its memory, taken as it comes and never
    held together; `xen` the version of Xen it claims to be from. `note` goes into the optional record
    `SIMULATED`. Raises `StreamError` for a page of more than 4096 bytes.
    """
    return _Writer(file).save(config, pages, xen, note)


class _Writer:
    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.written = 0

    def put(self, data: bytes) -> None:
        self.file.write(data)
        self.written += len(data)

    def record(self, kind: int, body: bytes = b"") -> None:
        self.put(RECORD_HEADER.pack(kind, len(body)) + body + bytes(-len(body) % 8))

    def save(
        self, config: Mapping[str, object], pages: Iterable[Page], xen: tuple[int, int], note: bytes
    ) -> int:
        self.xl_header(config)
        self.put(LIBXL_HEADER.pack(LIBXL_IDENT, LIBXL_VERSION, 0))
        self.record(LIBXC_CONTEXT)
        self.put(IMAGE_HEADER.pack(IMAGE_MARKER, IMAGE_ID, 3, 0, 0, 0))
        self.put(DOMAIN_HEADER.pack(_HVM, PAGE_BYTES.bit_length() - 1, 0, *xen))
        self.record(_NUMBER["STATIC_DATA_END"])
        self.record(SIMULATED, note)
        self.memory(pages)
        self.record(_NUMBER["X86_TSC_INFO"], struct.pack("<IIQII", 0, 0, 0, 0, 0))
        self.record(_NUMBER["HVM_CONTEXT"], _hvm_context())
        self.record(_NUMBER["HVM_PARAMS"], struct.pack("<IIQQQQ", 2, 0, _STORE_PFN, 0, _CONSOLE_PFN, 0))
        self.record(END)
        self.record(END)  # libxl's own
        return self.written

    def xl_header(self, config: Mapping[str, object]) -> None:
        text = json.dumps(config, indent=4).encode() + b"\0"
        data = struct.pack("<I", len(text)) + text
        self.put(XL_HEADER.pack(XL_MAGIC, XL_BYTEORDER, XL_JSON | XL_STREAM_V2, 0, len(data)))
        self.put(data)

    def memory(self, pages: Iterable[Page]) -> None:
        """Write all pages, up to 1024 in a PAGE_DATA record as libxc does."""
        left = iter(pages)
        while batch := list(islice(left, BATCH)):
            entries = [pfn | (XTAB << 60 if contents is None else 0) for pfn, contents in batch]
            contents = b"".join(_whole(pfn, data) for pfn, data in batch if data is not None)
            head = PAGE_DATA_HEADER.pack(len(batch), 0) + struct.pack(f"<{len(batch)}Q", *entries)
            self.record(PAGE_DATA, head + contents)


def _whole(pfn: int, contents: bytes) -> bytes:
    if len(contents) > PAGE_BYTES:
        raise StreamError(f"page {pfn} (={len(contents)} bytes) must have at most {PAGE_BYTES}")
    return contents.ljust(PAGE_BYTES, b"\0")


def _hvm_context() -> bytes:
    """Return the shortest HVM context: its header, no device, the end mark (`hvm/save.h`: hvm_save_descriptor)."""
    header = struct.pack("<IIQII", HVM_FILE_MAGIC, 1, 0, 0, 0)
    return HVM_DESCRIPTOR.pack(1, 0, len(header)) + header + HVM_DESCRIPTOR.pack(0, 0, 0)
