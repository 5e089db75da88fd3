"""An empty image: what the file holds before the guest has written anything."""

from __future__ import annotations

from typing import BinaryIO, Literal

from xenlab.storage.blockdev import SECTOR
from xenlab.storage.qcow2.hostfile import HostFile
from xenlab.storage.qcow2.layout import FEATURE_NAMES, Header, Qcow2Error, feature_names
from xenlab.storage.qcow2.refcounts import Refcounts, pack_counts


def format_image(
    file: BinaryIO,
    size: int,
    *,
    cluster_size: int = 64 * 1024,
    version: Literal[2, 3] = 3,
    refcount_bits: int = 16,
    backing_file: str | None = None,
    backing_format: str | None = None,
) -> None:
    """Write an empty qcow2 image into `file`: header, refcount table and blocks, and an L1 table of zeros.

    Arguments: `size` in bytes, rounded up to a sector; `cluster_size` 512 B to 2 MiB; `refcount_bits` 1 to 64
    (version 2: 16), both powers of two; `backing_file` as it shall stand in the header, `backing_format`
    ``"raw"`` or ``"qcow2"``.
    Raises `Qcow2Error` for a value outside these. The result is byte for byte that of ``qemu-img create``.
    """
    bits, order = cluster_size.bit_length() - 1, refcount_bits.bit_length() - 1
    if cluster_size != 1 << bits or not 9 <= bits <= 21:
        raise Qcow2Error(f"cluster_size(={cluster_size}) must be a power of two from 512 to 2097152")
    if refcount_bits != 1 << order or order > 6 or (version == 2 and order != 4):
        raise Qcow2Error(
            f"refcount_bits(={refcount_bits}) must be 1, 2, 4, 8, 16, 32 or 64, and 16 in version 2"
        )
    if size < 0:
        raise Qcow2Error(f"size(={size}) must not be negative")
    size = -(-size // SECTOR) * SECTOR
    header = Header(
        size=size,
        l1_size=-(-size // (cluster_size * (cluster_size // 8))),
        l1_offset=0,
        cluster_bits=bits,
        version=version,
        backing_file=backing_file,
        backing_format=backing_format,
        refcount_table_offset=cluster_size,
        refcount_table_clusters=1,
        refcount_order=order,
        # QEMU leaves the names of features out where they would crowd the header's cluster.
        extensions=((FEATURE_NAMES, feature_names()),) if version == 3 and cluster_size > 4096 else (),
    )
    block = 2 * cluster_size
    counts = [1] * 3 + [0] * (header.refcounts_per_block - 3)  # header, table and block
    file.write(
        header.pack()
        + block.to_bytes(8, "big").ljust(cluster_size, b"\0")
        + pack_counts(counts, refcount_bits)
    )
    host = HostFile(file)
    l1_offset = Refcounts(host).allocate(-(-header.l1_size * 8 // cluster_size))
    host.write_numbers(l1_offset, [0] * header.l1_size)
    host.update_header(l1_offset=l1_offset)
