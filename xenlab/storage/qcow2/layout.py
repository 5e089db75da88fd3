"""What the bytes of a qcow2 file mean: its header and the entries of its mapping tables.

Everything is big endian. The file is a row of *clusters* (64 KiB unless said otherwise); the first holds the
header. A guest's offset is looked up in two steps, as an address is in a page table::

    guest offset = | L1 index | L2 index | offset in the cluster |
    header ──► L1 table[L1 index] ──► L2 table[L2 index] ──► the cluster with the data

Source: QEMU, docs/interop/qcow2.txt, "Header" and "Cluster mapping".
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from enum import Enum
from typing import Self

from xenlab.storage.blockdev import StorageError

MAGIC = 0x514649FB  # "QFI\xfb"
COPIED = 1 << 63  # in an L1 or L2 entry: refcount is exactly one, so it may be written in place
_COMPRESSED = 1 << 62
_READS_ZERO = 1
_OFFSET = (1 << 56) - (1 << 9)  # bits 9 to 55: a host offset, sector aligned
_SECTOR = 512

_V2 = struct.Struct(">IIQIIQIIQQIIQ")  # 72 bytes, all there is in version 2
_V3 = struct.Struct(">QQQIIB7x")  # bytes 72 to 112
_EXTENSION = struct.Struct(">II")
_END, _BACKING_FORMAT, FEATURE_NAMES = 0, 0xE2792ACA, 0x6803F857

DIRTY, CORRUPT, EXTERNAL_DATA, COMPRESSION_TYPE, EXTENDED_L2 = (1 << bit for bit in range(5))
_SUPPORTED = DIRTY | CORRUPT | COMPRESSION_TYPE
_MAX_L1_BYTES, _MAX_TABLE_BYTES = 32 << 20, 8 << 20  # QEMU's own limits

#: The feature name table that QEMU writes: (kind of feature, bit, name).
_FEATURES = (
    (0, 0, "dirty bit"),
    (0, 1, "corrupt bit"),
    (0, 2, "external data file"),
    (0, 3, "compression type"),
    (0, 4, "extended L2 entries"),
    (1, 0, "lazy refcounts"),
    (2, 0, "bitmaps"),
    (2, 1, "raw external data"),
)


class Qcow2Error(StorageError):
    """A qcow2 file that is damaged, uses a feature not known here, or was asked what it cannot do."""


def feature_names() -> bytes:
    """Return the feature name table: 48 bytes a feature, so that old programs can name what they lack."""
    return b"".join(struct.pack(">BB46s", kind, bit, name.encode()) for kind, bit, name in _FEATURES)


@dataclass(frozen=True)
class Header:
    """The first cluster of a qcow2 file, field by field.

    `size` is what the guest sees, in bytes. Offsets are in the file. `extensions` are the header extensions
    other than the backing format, as ``(type, data)``, kept as they were found.

    >>> header = Header(
    ...     size=1 << 30,
    ...     l1_size=2,
    ...     l1_offset=0x30000,
    ...     refcount_table_offset=0x10000,
    ...     refcount_table_clusters=1,
    ...     backing_file="golden.qcow2",
    ... )
    >>> packed = header.pack()
    >>> packed[:4], len(packed)
    (b'QFI\\xfb', 65536)
    >>> Header.parse(packed) == header
    True
    """

    size: int
    l1_size: int
    l1_offset: int
    refcount_table_offset: int
    refcount_table_clusters: int
    cluster_bits: int = 16
    version: int = 3
    backing_file: str | None = None
    backing_format: str | None = None
    refcount_order: int = 4
    snapshots: int = 0
    snapshots_offset: int = 0
    incompatible: int = 0
    compatible: int = 0
    autoclear: int = 0
    compression_type: int = 0
    extensions: tuple[tuple[int, bytes], ...] = ()

    @property
    def cluster_size(self) -> int:
        """Bytes in a cluster."""
        return 1 << self.cluster_bits

    @property
    def l2_entries(self) -> int:
        """Guest clusters that one L2 table maps."""
        return self.cluster_size // 8

    @property
    def refcount_bits(self) -> int:
        """Width of one reference count."""
        return 1 << self.refcount_order

    @property
    def refcounts_per_block(self) -> int:
        """Host clusters that one refcount block counts."""
        return self.cluster_size * 8 // self.refcount_bits

    @property
    def clusters(self) -> int:
        """Guest clusters in the virtual disk, the last perhaps in part."""
        return -(-self.size // self.cluster_size)

    def pack(self) -> bytes:
        """Return the header's cluster: fixed fields, extensions, the backing file's name, zeros.

        Raises `Qcow2Error` if they do not fit in one cluster or the name is longer than 1023 bytes.
        """
        version3 = self.version >= 3
        extensions = self.extensions
        if self.backing_format is not None:
            extensions = ((_BACKING_FORMAT, os.fsencode(self.backing_format)), *extensions)
        tail = b"".join(
            _EXTENSION.pack(kind, len(data)) + data + bytes(-len(data) % 8) for kind, data in extensions
        ) + bytes(_EXTENSION.size)
        name = os.fsencode(self.backing_file or "")
        start = _V2.size + (_V3.size if version3 else 0)
        fixed = _V2.pack(
            MAGIC,
            self.version,
            start + len(tail) if name else 0,
            len(name),
            self.cluster_bits,
            self.size,
            0,
            self.l1_size,
            self.l1_offset,
            self.refcount_table_offset,
            self.refcount_table_clusters,
            self.snapshots,
            self.snapshots_offset,
        )
        if version3:
            fixed += _V3.pack(
                self.incompatible,
                self.compatible,
                self.autoclear,
                self.refcount_order,
                start,
                self.compression_type,
            )
        packed = fixed + tail + name
        if len(name) > 1023 or len(packed) > self.cluster_size:
            raise Qcow2Error(
                f"backing_file(={self.backing_file!r}) must be at most 1023 bytes and fit in the header's "
                f"cluster of {self.cluster_size} bytes; use a shorter path or larger clusters"
            )
        return packed.ljust(self.cluster_size, b"\0")

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a header from the start of a file; `data` must hold the whole first cluster.

        Raises `Qcow2Error` if this is no qcow2 file, or one with a feature that cannot be ignored.
        """
        if len(data) < _V2.size or data[:4] != MAGIC.to_bytes(4, "big"):
            raise Qcow2Error("not a qcow2 file: it must start with the magic 'QFI\\xfb'")
        (_, version, backing_offset, backing_length, cluster_bits, size, crypt, l1_size, l1_offset, *rest) = (
            _V2.unpack_from(data)
        )
        table_offset, table_clusters, snapshots, snapshots_offset = rest
        if version not in (2, 3):
            raise Qcow2Error(f"qcow2 version(={version}) must be 2 or 3")
        if not 9 <= cluster_bits <= 21:
            raise Qcow2Error(f"cluster_bits(={cluster_bits}) must be 9 to 21 (512 B to 2 MiB)")
        if crypt:
            raise Qcow2Error(
                f"encrypted images (crypt_method={crypt}) are not read here; decrypt with qemu-img convert"
            )
        incompatible, compatible, autoclear, order, length, compression = 0, 0, 0, 4, _V2.size, 0
        if version >= 3:
            incompatible, compatible, autoclear, order, length, compression = _V3.unpack_from(data, _V2.size)
            if length < 104 or length % 8 or order > 6:
                raise Qcow2Error(f"damaged header: header_length(={length}), refcount_order(={order})")
            compression = compression if length > 104 else 0
        extensions = _parse_extensions(data[length : backing_offset or 1 << cluster_bits])
        backing_format = next((text for kind, text in extensions if kind == _BACKING_FORMAT), None)
        header = cls(
            size=size,
            l1_size=l1_size,
            l1_offset=l1_offset,
            cluster_bits=cluster_bits,
            version=version,
            backing_file=os.fsdecode(data[backing_offset:][:backing_length]) if backing_offset else None,
            backing_format=os.fsdecode(backing_format) if backing_format is not None else None,
            refcount_table_offset=table_offset,
            refcount_table_clusters=table_clusters,
            refcount_order=order,
            snapshots=snapshots,
            snapshots_offset=snapshots_offset,
            incompatible=incompatible,
            compatible=compatible,
            autoclear=autoclear,
            compression_type=compression,
            extensions=tuple(pair for pair in extensions if pair[0] != _BACKING_FORMAT),
        )
        _check(header)
        return header


def _check(header: Header) -> None:
    """Raise `Qcow2Error` for what cannot be read here, or what QEMU would not read either."""
    unknown = header.incompatible & ~_SUPPORTED
    if unknown:
        names = {1 << bit: name for kind, bit, name in _FEATURES if kind == 0}
        listed = [names.get(1 << bit, f"bit {bit}") for bit in range(64) if unknown >> bit & 1]
        raise Qcow2Error(
            f"the image uses {', '.join(listed)}, not read here; rewrite it with qemu-img convert -O qcow2"
        )
    needed = -(-header.clusters // header.l2_entries)
    if not needed <= header.l1_size <= _MAX_L1_BYTES // 8:
        raise Qcow2Error(f"l1_size(={header.l1_size}) must be {needed} to {_MAX_L1_BYTES // 8} entries")
    table_bytes = header.refcount_table_clusters * header.cluster_size
    if not 0 < table_bytes <= _MAX_TABLE_BYTES:
        raise Qcow2Error(f"a refcount table of {table_bytes} bytes must have 1 to {_MAX_TABLE_BYTES}")
    if header.compression_type not in (0, 1):
        raise Qcow2Error(f"compression_type(={header.compression_type}) must be 0 (zlib) or 1 (zstd)")


def _parse_extensions(data: bytes) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    at = 0
    while at + _EXTENSION.size <= len(data):
        kind, length = _EXTENSION.unpack_from(data, at)
        if kind == _END:
            break
        at += _EXTENSION.size
        if at + length > len(data):
            raise Qcow2Error(f"header extension {kind:#x} of {length} bytes runs past the header's cluster")
        found.append((kind, data[at : at + length]))
        at += length + -length % 8
    return found


class Kind(Enum):
    """Where a guest cluster's bytes come from."""

    UNALLOCATED = "unallocated"  # from the backing file, or zeros if there is none
    ZERO = "zero"  # zeros, whatever the backing file says
    DATA = "data"
    COMPRESSED = "compressed"


@dataclass(frozen=True)
class Cluster:
    """One L2 entry, decoded.

    `offset`: where the data is in the file, 0 for nowhere (a `ZERO` cluster may own a preallocated place).
    `length`: bytes of compressed data at most, 0 if not compressed. `copied`: its refcount is exactly one.
    """

    kind: Kind
    offset: int = 0
    length: int = 0
    copied: bool = False

    @classmethod
    def decode(cls, entry: int, cluster_bits: int) -> Self:
        """Read an L2 entry of an image with clusters of ``2**cluster_bits`` bytes.

        >>> Cluster.decode(0x8000000000050000, cluster_bits=16)
        Cluster(kind=<Kind.DATA: 'data'>, offset=327680, length=0, copied=True)
        >>> Cluster.decode(1, cluster_bits=16).kind
        <Kind.ZERO: 'zero'>
        """
        if entry & _COMPRESSED:
            # The low x bits say where, the rest how many more sectors; it may start in the middle of one.
            x = 62 - (cluster_bits - 8)
            offset = entry & ((1 << x) - 1)
            sectors = (entry & (_COMPRESSED - 1)) >> x
            return cls(Kind.COMPRESSED, offset, (sectors + 1) * _SECTOR - offset % _SECTOR)
        offset, copied = entry & _OFFSET, bool(entry & COPIED)
        if offset % (1 << cluster_bits):
            raise Qcow2Error(
                f"L2 entry {entry:#018x} does not point to the start of a cluster: the image is corrupt"
            )
        if entry & _READS_ZERO:
            return cls(Kind.ZERO, offset, 0, copied)
        return cls(Kind.DATA if offset else Kind.UNALLOCATED, offset, 0, copied)


def table_offset(entry: int) -> int:
    """Return where the table is that an L1 entry (or refcount table entry) points to; 0 if there is none."""
    return entry & _OFFSET
