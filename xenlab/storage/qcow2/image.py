"""A disk in a qcow2 file: read through its tables, written by copy-on-write, grown as it fills.

What happens on a write to a cluster that the image does not hold yet (or shares):

1. a free host cluster is taken (`refcounts`),
2. the part of the guest cluster that is not being written is copied up from the backing file,
3. the new data is put in, and the whole cluster written,
4. the L2 entry is pointed there; only now does a reader see it,
5. the cluster that was there before, if any, is released.

In this order a crash loses at most some room, never data.

Source: QEMU, docs/interop/qcow2.txt, "Cluster mapping".
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Literal, Self

import zstandard

from xenlab.storage.blockdev import BlockDevice, FileDisk, check_range, pieces
from xenlab.storage.qcow2.hostfile import HostFile
from xenlab.storage.qcow2.layout import (
    COPIED,
    CORRUPT,
    DIRTY,
    Cluster,
    Header,
    Kind,
    Qcow2Error,
    table_offset,
)
from xenlab.storage.qcow2.refcounts import Refcounts

Action = Literal["new L2 table", "copy L2 table", "allocate", "copy up", "write", "map", "release"]


@dataclass(frozen=True)
class Step:
    """One thing an image did to carry out a write, for whoever draws it.

    `cluster` is the guest cluster (for the two L2 actions: the L1 index), `offset` a place in the file,
    `length` bytes.
    """

    action: Action
    cluster: int
    offset: int
    length: int = 0


class Image:
    """A virtual disk in a qcow2 file, perhaps on top of another disk.

    What the image does not hold itself is read from `backing`; the first write to a cluster copies it up, and
    the backing disk is never changed.

    Arguments: `file`, a qcow2 file open in binary mode (writable or not); `backing`, the disk below;
    `on_step`, called with every `Step` of a write. For files by name see `open_image` and `create_image`.
    Raises `Qcow2Error` for a damaged file or one that uses features this package does not have.

    >>> import io
    >>> from xenlab.storage.blockdev import MemoryDisk
    >>> from xenlab.storage.qcow2 import format_image
    >>> golden, file = MemoryDisk(1 << 20), io.BytesIO()
    >>> golden.write(0, b"Debian 12")
    >>> format_image(file, golden.size)
    >>> web = Image(file, backing=golden)
    >>> web.write(7, b"13")
    >>> web.read(0, 9), golden.read(0, 9)
    (b'Debian 13', b'Debian 12')
    >>> web.lookup(0)
    Cluster(kind=<Kind.DATA: 'data'>, offset=327680, length=0, copied=True)
    """

    def __init__(
        self,
        file: BinaryIO,
        *,
        backing: BlockDevice | None = None,
        name: str = "",
        on_step: Callable[[Step], None] | None = None,
    ) -> None:
        self._host = HostFile(file)
        self.backing = backing
        self.name = name
        self.on_step = on_step
        header = self._host.header
        if self._host.writable:
            _refuse_unclean(header)
            if header.autoclear:  # data kept by those features (dirty bitmaps) does not follow our writes
                self._host.update_header(autoclear=0)
        self._refcounts = Refcounts(self._host)
        self._l1 = self._host.read_numbers(header.l1_offset, header.l1_size)
        self._l2: dict[int, list[int]] = {}  # by offset in the file

    @property
    def header(self) -> Header:
        """The image's header as it stands in the file now."""
        return self._host.header

    @property
    def size(self) -> int:
        """Size of the virtual disk in bytes."""
        return self.header.size

    @property
    def writable(self) -> bool:
        """Was the file opened for writing?"""
        return self._host.writable

    def lookup(self, offset: int) -> Cluster:
        """Return what the tables of this image (not of those below) say of the guest byte `offset`."""
        check_range(offset, 1, self.size)
        return self._cluster(offset // self.header.cluster_size)

    def span(self, offset: int) -> int:
        """Return up to which guest byte the answer of `lookup` is known to hold without another look-up.

        That is the end of the cluster, or of the whole stretch an L1 entry maps if there is no L2 table for
        it.
        """
        size = self.header.cluster_size
        reach = size * self.header.l2_entries
        unit = size if table_offset(self._l1[offset // reach]) else reach
        return min((offset // unit + 1) * unit, self.size)

    def read(self, offset: int, length: int) -> bytes:
        """Return guest bytes; what this image does not hold comes from the backing disk, or is zeros."""
        check_range(offset, length, self.size)
        parts = []
        for index, start, step in pieces(offset, length, self.header.cluster_size):
            cluster = self._cluster(index)
            if cluster.kind is Kind.DATA:
                parts.append(self._host.read(cluster.offset + start, step))
            elif cluster.kind is Kind.ZERO:
                parts.append(bytes(step))
            elif cluster.kind is Kind.COMPRESSED:
                parts.append(self._decompress(cluster)[start : start + step])
            else:
                parts.append(self._read_below(index * self.header.cluster_size + start, step))
        return b"".join(parts)

    def write(self, offset: int, data: bytes) -> None:
        """Write guest bytes, copying clusters up and growing the file as needed."""
        check_range(offset, len(data), self.size)
        done = 0
        for index, start, step in pieces(offset, len(data), self.header.cluster_size):
            self._write_cluster(index, start, data[done : done + step])
            done += step

    def make_empty(self) -> None:
        """Forget all data, so that the whole disk is read from the backing disk again, and cut the file short.

        Raises `Qcow2Error` if the image has internal snapshots, which may need that data.
        """
        if self.header.snapshots:
            raise Qcow2Error(
                f"{self.name or 'the image'} has internal snapshots; delete them with qemu-img snapshot -d"
            )
        for index, entry in enumerate(self._l1):
            if not table_offset(entry):
                continue
            self._set_l1(index, 0)
            for cluster in map(self._decode, self._load_l2(table_offset(entry))):
                self._release(cluster)
            self._refcounts.release(table_offset(entry))
            del self._l2[table_offset(entry)]
        self._host.truncate(self.end)

    @property
    def end(self) -> int:
        """Offset in the file after the last cluster in use; ``qemu-img check`` calls it the image end offset."""
        return self._refcounts.end()

    @property
    def file_length(self) -> int:
        """Bytes in the image file, holes included."""
        return self._host.length

    @property
    def allocated(self) -> int:
        """Bytes of the file that are in use: clusters with a reference count, times their size."""
        return self._refcounts.used() * self.header.cluster_size

    def close(self) -> None:
        """Close the file and those of the chain below."""
        self._host.flush()
        self._host.close()
        if isinstance(self.backing, Image | FileDisk):
            self.backing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- from guest clusters to entries

    def _decode(self, entry: int) -> Cluster:
        return Cluster.decode(entry, self.header.cluster_bits)

    def _cluster(self, index: int) -> Cluster:
        l1_index, l2_index = divmod(index, self.header.l2_entries)
        l2_offset = table_offset(self._l1[l1_index])
        return self._decode(self._load_l2(l2_offset)[l2_index]) if l2_offset else Cluster(Kind.UNALLOCATED)

    def _load_l2(self, offset: int) -> list[int]:
        if offset not in self._l2:
            self._l2[offset] = self._host.read_numbers(offset, self.header.l2_entries)
        return self._l2[offset]

    # ---- reading

    def _read_below(self, offset: int, length: int) -> bytes:
        """The disk below may be shorter than this one: the rest is zeros."""
        if self.backing is None:
            return bytes(length)
        there = max(0, min(length, self.backing.size - offset))
        return self.backing.read(offset, there).ljust(length, b"\0") if there else bytes(length)

    def _decompress(self, cluster: Cluster) -> bytes:
        packed = self._host.read(cluster.offset, cluster.length)
        size = self.header.cluster_size
        try:
            if self.header.compression_type == 0:
                data = zlib.decompressobj(-12).decompress(packed, size)
            else:
                data = zstandard.ZstdDecompressor().decompressobj().decompress(packed)
        except (zlib.error, zstandard.ZstdError) as error:
            raise Qcow2Error(
                f"compressed cluster at {cluster.offset:#x} cannot be unpacked: {error}"
            ) from error
        if len(data) != size:
            raise Qcow2Error(
                f"compressed cluster at {cluster.offset:#x} unpacks to {len(data)} bytes, not {size}"
            )
        return data

    # ---- writing

    def _write_cluster(self, index: int, start: int, data: bytes) -> None:
        size = self.header.cluster_size
        table, place = self._l2_for_writing(index)
        before = self._decode(self._load_l2(table)[place])
        if before.kind is Kind.DATA and before.copied:
            self._refcounts.check_used(before.offset)
            self._tell("write", index, before.offset + start, len(data))
            self._host.write(before.offset + start, data)
            return
        keep = before.offset if before.kind is Kind.ZERO and before.copied else 0
        if keep:
            self._refcounts.check_used(keep)
        offset = keep or self._refcounts.allocate()
        self._tell("allocate", index, offset, size)
        if len(data) < size:
            whole = min(size, self.size - index * size)
            below = self.read(index * size, whole)
            self._tell("copy up", index, offset, whole - len(data))
            data = (below[:start] + data + below[start + len(data) :]).ljust(size, b"\0")
        self._tell("write", index, offset, size)
        self._host.write(offset, data)
        self._tell("map", index, table + 8 * place)
        self._load_l2(table)[place] = offset | COPIED
        self._host.write_numbers(table + 8 * place, [offset | COPIED])
        if not keep:
            self._release(before, index)

    def _l2_for_writing(self, index: int) -> tuple[int, int]:
        """Return where our own L2 table for guest cluster `index` is, and the place of its entry."""
        l1_index, place = divmod(index, self.header.l2_entries)
        entry = self._l1[l1_index]
        if entry & COPIED:
            self._refcounts.check_used(table_offset(entry))
            return table_offset(entry), place
        offset = self._refcounts.allocate()
        shared = table_offset(entry)
        numbers = list(self._load_l2(shared)) if shared else [0] * self.header.l2_entries
        self._tell("copy L2 table" if shared else "new L2 table", l1_index, offset, self.header.cluster_size)
        self._l2[offset] = numbers
        self._host.write_numbers(offset, numbers)
        self._set_l1(l1_index, offset | COPIED)
        if shared:
            self._refcounts.release(shared)
        return offset, place

    def _set_l1(self, index: int, entry: int) -> None:
        self._l1[index] = entry
        self._host.write_numbers(self.header.l1_offset + 8 * index, [entry])

    def _release(self, cluster: Cluster, index: int = -1) -> None:
        """Release the host clusters under an L2 entry; compressed data may reach into a second one."""
        size = self.header.cluster_size
        first = cluster.offset - cluster.offset % size
        for offset in range(first, cluster.offset + max(cluster.length, 1), size) if cluster.offset else ():
            self._tell("release", index, offset, size)
            self._refcounts.release(offset)

    def _tell(self, action: Action, cluster: int, offset: int, length: int = 0) -> None:
        if self.on_step is not None:
            self.on_step(Step(action, cluster, offset, length))


def _refuse_unclean(header: Header) -> None:
    if header.incompatible & (DIRTY | CORRUPT):
        raise Qcow2Error(
            "the image is marked dirty or corrupt and must not be written; run qemu-img check -r all first"
        )
