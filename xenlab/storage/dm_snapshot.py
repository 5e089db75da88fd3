"""Device-mapper's snapshots: what `lvcreate -s` makes, down to the bytes of the "SnAp" exception store.

A snapshot is made in no time because nothing is copied. The *origin* stays where it is; before a chunk of it
is overwritten for the first time, its old contents are copied out to a second device, the *copy-on-write
device*, and a record ``(old chunk, new chunk)`` is written there, an *exception*. The snapshot reads a chunk
from there if it has an exception for it, from the origin otherwise::

    chunk 0     chunk 1          chunks 2 … n+1      chunk n+2        …
    header      n records        their n chunks      n records        …        n = chunk size / 16 bytes

When the copy-on-write device is full, the origin must not wait: the snapshot is given up and is *invalid* for
good.

All numbers on the device are little endian. Sources: Linux, drivers/md/dm-snap-persistent.c, dm-snap.c.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from xenlab.storage.blockdev import SECTOR, BlockDevice, DiskError, StorageError, check_range, pieces

MAGIC = 0x70416E53  # the bytes "SnAp"
_HEADER = struct.Struct("<IIII")  # magic, valid, version, chunk size in sectors
_RECORD = struct.Struct("<QQ")  # old chunk, new chunk

Action = Literal["read old", "copy out", "commit", "write", "invalidate"]


class StoreFullError(StorageError):
    """No room for one more exception, or for the metadata area after it: ENOSPC."""


@dataclass(frozen=True)
class Step:
    """One thing a snapshot did because of a write, for whoever draws it.

    `chunk` is the origin's, `stored` the chunk of the copy-on-write device, 0 if none is concerned.
    """

    action: Action
    chunk: int
    stored: int = 0


class ExceptionStore:
    """The persistent exception store on a copy-on-write device: which chunks were copied out, and where to.

    A device that starts with zeros gets a new store, one with a store is read.

    Arguments: `cow`, the device; `chunk_size` in bytes, a power of two, at least a sector (the kernel's
    default is 16 KiB, LVM's 4 KiB); the size found on the device wins, as in the kernel.
    Raises `StorageError` for a bad size, a device that holds something else, or one too small for a header
    and an area.

    >>> from xenlab.storage.blockdev import MemoryDisk
    >>> cow = MemoryDisk(1 << 20)
    >>> store = ExceptionStore(cow, chunk_size=4096)
    >>> store.commit(old=7, new=store.allocate())
    >>> cow.read(0, 16).hex(" ", 4), cow.read(4096, 16).hex(" ", 8)
    ('536e4170 01000000 01000000 08000000', '0700000000000000 0200000000000000')
    >>> store.status()
    '24/2048 16'
    """

    def __init__(self, cow: BlockDevice, chunk_size: int = 16 * 1024) -> None:
        self._cow = cow
        magic, valid, version, sectors = _HEADER.unpack(cow.read(0, _HEADER.size))
        if magic not in (0, MAGIC):
            raise StorageError(
                f"Invalid or corrupt snapshot: magic(={magic:#x}) must be {MAGIC:#x} (SnAp) or 0 (a new one)"
            )
        if magic and version != 1:
            raise StorageError(f"unable to handle snapshot disk version {version}; it must be 1")
        self.chunk_size = sectors * SECTOR if magic else chunk_size
        if self.chunk_size < SECTOR or self.chunk_size & (self.chunk_size - 1):
            raise StorageError(
                f"chunk_size(={self.chunk_size}) must be a power of two of at least {SECTOR} bytes"
            )
        if cow.size < 2 * self.chunk_size:
            raise StorageError(
                f"a copy-on-write device of {cow.size} bytes must hold two chunks of {self.chunk_size}"
            )
        self.per_area = self.chunk_size // _RECORD.size
        self.valid = bool(valid) or not magic
        self.exceptions: dict[int, int] = {}
        self._next_free = 2  # after the header and the first area
        self._area = self._in_area = 0  # the area records go to, and how many it has
        if not magic:
            self._write_header()
            self._clear_area(0)
        elif self.valid:
            self._load()

    def allocate(self) -> int:
        """Take the next free chunk of the device; raise `StoreFullError` if there is none."""
        if self._cow.size < (self._next_free + 1) * self.chunk_size:
            raise StoreFullError("no room on the copy-on-write device for another chunk")
        new = self._next_free
        self._next_free += 1
        self._skip_area()
        return new

    def commit(self, old: int, new: int) -> None:
        """Record that the origin's chunk `old` is kept in chunk `new`; only from now on does it count.

        Before the last record of an area is written, the next area is cleared: the first empty record found
        is the end of the table. Raises `StoreFullError` if that next area lies past the end of the device.
        """
        self._in_area += 1
        if self._in_area == self.per_area:
            self._clear_area(self._area + 1)
        place = self._area_chunk(self._area) * self.chunk_size + (self._in_area - 1) * _RECORD.size
        self._cow.write(place, _RECORD.pack(old, new))
        if self._in_area == self.per_area:
            self._area, self._in_area = self._area + 1, 0
        self.exceptions[old] = new

    def invalidate(self) -> None:
        """Give the snapshot up, for good: there is no way back."""
        self.valid = False
        self._write_header()

    @property
    def used_sectors(self) -> int:
        """Sectors taken from the start of the device: header, areas and chunks."""
        return self._next_free * self.chunk_size // SECTOR

    @property
    def total_sectors(self) -> int:
        """Sectors the device has."""
        return self._cow.size // SECTOR

    @property
    def metadata_sectors(self) -> int:
        """Sectors of the used ones that hold the header and areas."""
        return (self._area + 2) * self.chunk_size // SECTOR

    def status(self) -> str:
        """Return what ``dmsetup status`` prints of it: used/total metadata, in sectors, or ``Invalid``."""
        return (
            f"{self.used_sectors}/{self.total_sectors} {self.metadata_sectors}" if self.valid else "Invalid"
        )

    def _area_chunk(self, area: int) -> int:
        return 1 + area * (self.per_area + 1)

    def _skip_area(self) -> None:
        if self._next_free % (self.per_area + 1) == 1:
            self._next_free += 1

    def _write_header(self) -> None:
        header = _HEADER.pack(MAGIC, self.valid, 1, self.chunk_size // SECTOR)
        self._cow.write(0, header.ljust(self.chunk_size, b"\0"))

    def _clear_area(self, area: int) -> None:
        at = self._area_chunk(area) * self.chunk_size
        if at + self.chunk_size > self._cow.size:
            raise StoreFullError("no room on the copy-on-write device for another metadata area")
        self._cow.write(at, bytes(self.chunk_size))

    def _load(self) -> None:
        """Read area after area up to the first record without a chunk."""
        while True:
            data = self._cow.read(self._area_chunk(self._area) * self.chunk_size, self.chunk_size)
            for self._in_area, (old, new) in enumerate(_RECORD.iter_unpack(data)):
                if new == 0:
                    self._skip_area()
                    return
                self.exceptions[old] = new
                self._next_free = max(self._next_free, new + 1)
            self._area, self._in_area = self._area + 1, 0


class SnapshotOrigin:
    """A device with snapshots: the first write to a chunk copies it out to each of them.

    Arguments: `device`, the disk that is snapshotted.
    """

    def __init__(self, device: BlockDevice) -> None:
        self.device = device
        self.snapshots: list[Snapshot] = []

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self.device.size

    def read(self, offset: int, length: int) -> bytes:
        """Read the origin as it is now."""
        return self.device.read(offset, length)

    def write(self, offset: int, data: bytes) -> None:
        """Save what is about to be overwritten, then write. It never fails because a snapshot is full."""
        check_range(offset, len(data), self.size)
        for snapshot in self.snapshots:
            for chunk, _, _ in pieces(offset, len(data), snapshot.chunk_size):
                snapshot.copy_out(chunk)
        self.device.write(offset, data)


class Snapshot:
    """The origin as it was, and a writable disk of its own.

    Arguments: `origin`; `cow`, the device that takes the exceptions; `chunk_size` as for `ExceptionStore`;
    `on_step`, called with every `Step`. `log` holds what the kernel would print.

    >>> from xenlab.storage.blockdev import MemoryDisk
    >>> web = SnapshotOrigin(MemoryDisk(1 << 20))
    >>> web.write(0, b"before")
    >>> monday = Snapshot(web, MemoryDisk(1 << 16), chunk_size=4096)
    >>> web.write(0, b"after!")
    >>> web.read(0, 6), monday.read(0, 6)
    (b'after!', b'before')
    >>> monday.status()
    '24/128 16'
    """

    def __init__(
        self,
        origin: SnapshotOrigin,
        cow: BlockDevice,
        chunk_size: int = 16 * 1024,
        on_step: Callable[[Step], None] | None = None,
    ) -> None:
        self._origin = origin
        self._cow = cow
        self.store = ExceptionStore(cow, chunk_size)
        self.on_step = on_step
        self.log: list[str] = []
        origin.snapshots.append(self)

    @property
    def size(self) -> int:
        """Size of the snapshot in bytes: its origin's."""
        return self._origin.size

    @property
    def chunk_size(self) -> int:
        """Bytes in a chunk."""
        return self.store.chunk_size

    def read(self, offset: int, length: int) -> bytes:
        """Read the frozen contents; raise `DiskError` if the snapshot is invalid."""
        check_range(offset, length, self.size)
        self._require_valid()
        parts = []
        for chunk, start, step in pieces(offset, length, self.chunk_size):
            stored = self.store.exceptions.get(chunk)
            if stored is None:
                parts.append(self._origin.device.read(chunk * self.chunk_size + start, step))
            else:
                parts.append(self._cow.read(stored * self.chunk_size + start, step))
        return b"".join(parts)

    def write(self, offset: int, data: bytes) -> None:
        """Write to the snapshot, not to the origin; raise `DiskError` if it is, or becomes, invalid."""
        check_range(offset, len(data), self.size)
        done = 0
        for chunk, start, step in pieces(offset, len(data), self.chunk_size):
            self._require_valid()
            self.copy_out(chunk)
            self._require_valid()
            stored = self.store.exceptions[chunk]
            self._tell("write", chunk, stored)
            self._cow.write(stored * self.chunk_size + start, data[done : done + step])
            done += step

    def copy_out(self, chunk: int) -> None:
        """Keep the origin's `chunk` here if it is not kept yet; with no room, become invalid."""
        if not self.store.valid or chunk in self.store.exceptions:
            return
        at = chunk * self.chunk_size
        old = self._origin.device.read(at, min(self.chunk_size, self.size - at))
        self._tell("read old", chunk)
        try:
            stored = self.store.allocate()
        except StoreFullError:
            self._invalidate(chunk, "Unable to allocate exception.")
            return
        self._cow.write(stored * self.chunk_size, old)
        self._tell("copy out", chunk, stored)
        try:
            self.store.commit(chunk, stored)
        except StoreFullError:
            self._invalidate(chunk, "Error reading/writing.")
            return
        self._tell("commit", chunk, stored)

    def merge(self) -> None:
        """Put the origin back to what this snapshot holds; other snapshots of it get a copy of what is overwritten.

        Raises `DiskError` if the snapshot is invalid.
        """
        self._require_valid()
        for chunk, stored in self.store.exceptions.items():
            at = chunk * self.chunk_size
            kept = self._cow.read(stored * self.chunk_size, min(self.chunk_size, self.size - at))
            self._origin.write(at, kept)

    def status(self) -> str:
        """Return the target's part of the ``dmsetup status`` line."""
        return self.store.status()

    def drop(self) -> None:
        """Remove the snapshot: the origin no longer copies out to it."""
        self._origin.snapshots.remove(self)

    def _invalidate(self, chunk: int, why: str) -> None:
        self.store.invalidate()
        self.log.append(f"device-mapper: snapshots: Invalidating snapshot: {why}")
        self._tell("invalidate", chunk)

    def _require_valid(self) -> None:
        if not self.store.valid:
            raise DiskError("Input/output error: the snapshot is invalid; remove it and make a larger one")

    def _tell(self, action: Action, chunk: int, stored: int = 0) -> None:
        if self.on_step is not None:
            self.on_step(Step(action, chunk, stored))
