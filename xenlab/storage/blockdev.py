"""What a disk is to whoever uses it: a size in bytes, `read` and `write` at an offset.

A qcow2 image, a logical volume, a snapshot and a plain file are all this, so they can be stacked: a snapshot
of a volume that lies on an image in memory. The two plainest disks are here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, Self

from xenlab.commands import XenlabError

SECTOR = 512
_PAGE = 64 * 1024


class StorageError(XenlabError):
    """A disk, a volume or an image that cannot do what was asked of it."""


class DiskError(StorageError):
    """An I/O error: what Linux would report as EIO."""


class BlockDevice(Protocol):
    """A disk: `size` bytes that can be read and written at any offset."""

    @property
    def size(self) -> int:
        """Length of the disk in bytes."""

    def read(self, offset: int, length: int) -> bytes:
        """Return the `length` bytes from byte `offset`; raise `DiskError` outside the disk."""

    def write(self, offset: int, data: bytes) -> None:
        """Store `data` from byte `offset`; raise `DiskError` outside the disk."""


def check_range(offset: int, length: int, size: int) -> None:
    """Raise `DiskError` unless bytes `offset` to `offset + length` lie on a disk of `size` bytes.

    >>> check_range(1000, 100, 1024)
    Traceback (most recent call last):
    ...
    xenlab.storage.blockdev.DiskError: bytes 1000 to 1100 must lie within the disk's 1024 bytes
    """
    if offset < 0 or length < 0 or offset + length > size:
        raise DiskError(f"bytes {offset} to {offset + length} must lie within the disk's {size} bytes")


def pieces(offset: int, length: int, unit: int) -> Iterator[tuple[int, int, int]]:
    """Cut a byte range at multiples of `unit`; yield ``(index of the unit, offset inside it, bytes)``.

    Requests come in bytes, storage thinks in clusters, chunks or extents: everything in this package cuts
    with this.

    >>> list(pieces(offset=900, length=300, unit=512))
    [(1, 388, 124), (2, 0, 176)]
    """
    end = offset + length
    while offset < end:
        index, start = divmod(offset, unit)
        step = min(unit - start, end - offset)
        yield index, start, step
        offset += step


class MemoryDisk:
    """A disk in memory. Only the parts that were written take room, so it can be as large as a real one.

    Arguments: `size` in bytes.

    >>> disk = MemoryDisk(size=1 << 40)
    >>> disk.write(4096, b"xen")
    >>> disk.read(4095, 5)
    b'\\x00xen\\x00'
    """

    def __init__(self, size: int) -> None:
        if size < 0:
            raise StorageError(f"size(={size}) must not be negative")
        self.size = size
        self._pages: dict[int, bytearray] = {}

    def read(self, offset: int, length: int) -> bytes:
        """Return what was written there; zeros where nothing was."""
        check_range(offset, length, self.size)
        parts = []
        for index, start, step in pieces(offset, length, _PAGE):
            page = self._pages.get(index)
            parts.append(bytes(page[start : start + step]) if page else bytes(step))
        return b"".join(parts)

    def write(self, offset: int, data: bytes) -> None:
        """Store `data` from byte `offset`."""
        check_range(offset, len(data), self.size)
        done = 0
        for index, start, step in pieces(offset, len(data), _PAGE):
            page = self._pages.setdefault(index, bytearray(_PAGE))
            page[start : start + step] = data[done : done + step]
            done += step


class FileDisk:
    """A raw image: byte n of the disk is byte n of the file.

    Arguments: `path` of a file that exists; `writable` to open it for writing. It is a context manager.
    Raises `StorageError` if the file is not there, `DiskError` on a write to one opened for reading.
    """

    def __init__(self, path: str | os.PathLike[str], *, writable: bool = False) -> None:
        self.path = Path(path)
        self.writable = writable
        try:
            self._file = self.path.open("r+b" if writable else "rb")
        except OSError as error:
            raise StorageError(f"cannot open {self.path}: {error.strerror}") from error
        self.size = self._file.seek(0, os.SEEK_END)

    def read(self, offset: int, length: int) -> bytes:
        """Return the file's bytes from `offset`."""
        check_range(offset, length, self.size)
        self._file.seek(offset)
        return self._file.read(length)

    def write(self, offset: int, data: bytes) -> None:
        """Write `data` into the file from `offset`."""
        check_range(offset, len(data), self.size)
        if not self.writable:
            raise DiskError(f"{self.path} is open read-only; open it with writable=True to write")
        self._file.seek(offset)
        self._file.write(data)

    def close(self) -> None:
        """Flush and close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
