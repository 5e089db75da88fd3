"""The file under an image: its header, and big-endian tables at any offset."""

from __future__ import annotations

import dataclasses
import os
import struct
from collections.abc import Sequence
from typing import BinaryIO, TypedDict, Unpack

from xenlab.storage.qcow2.layout import Header, Qcow2Error


class HeaderChange(TypedDict, total=False):
    """Header fields that change while an image is in use."""

    l1_offset: int
    refcount_table_offset: int
    refcount_table_clusters: int
    autoclear: int


class HostFile:
    """A qcow2 file as its tables see it: reads and writes of bytes and of rows of 64-bit numbers.

    Arguments: `file`, open in binary mode and seekable (a real file or an `io.BytesIO`).
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        start = self.read(0, 1 << 9)
        bits = int.from_bytes(start[20:24], "big")
        self.header = Header.parse(self.read(0, 1 << bits) if 9 < bits <= 21 else start)
        self.writable = file.writable()

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes; past the end of the file they are zeros, as in a hole."""
        self._file.seek(offset)
        return self._file.read(length).ljust(length, b"\0")

    def write(self, offset: int, data: bytes) -> None:
        """Write `data` at `offset`, growing the file if need be."""
        if not self.writable:
            raise Qcow2Error("the image is open read-only; open it with writable=True to write")
        self._file.seek(offset)
        self._file.write(data)

    def read_table(self, offset: int, length: int) -> bytes:
        """Return the bytes of a table, which unlike data never lies in a hole.

        Raises `Qcow2Error` if the file ends before the table does.
        """
        if offset + length > self.length:
            raise Qcow2Error(
                f"a table of {length} bytes at {offset:#x} must lie in the file of {self.length} bytes: "
                "the image is truncated or corrupt"
            )
        return self.read(offset, length)

    def read_numbers(self, offset: int, count: int) -> list[int]:
        """Return `count` 64-bit numbers."""
        return list(struct.unpack(f">{count}Q", self.read_table(offset, 8 * count)))

    def write_numbers(self, offset: int, numbers: Sequence[int]) -> None:
        """Write 64-bit numbers one after the other."""
        self.write(offset, struct.pack(f">{len(numbers)}Q", *numbers))

    def update_header(self, **changes: Unpack[HeaderChange]) -> None:
        """Change header fields, in memory and in the file."""
        self.header = dataclasses.replace(self.header, **changes)
        self.write(0, self.header.pack())

    @property
    def length(self) -> int:
        """Bytes in the file, holes included."""
        return self._file.seek(0, os.SEEK_END)

    def truncate(self, length: int) -> None:
        """Cut the file off after `length` bytes."""
        self._file.truncate(length)

    def flush(self) -> None:
        """Hand what was written to the operating system."""
        if self.writable:
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
