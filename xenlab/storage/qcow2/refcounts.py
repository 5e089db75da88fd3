"""Which clusters of the file are taken, and how often: the reference counts and the allocator over them.

A count of 0 means free, 1 in use, 2 and more shared (by internal snapshots): a shared cluster must be copied
before it is written. The counts live in *refcount blocks* of one cluster each, and the *refcount table*
points to those::

    header ──► refcount table[cluster / n] ──► refcount block[cluster % n] ──► count

Blocks and table lie in clusters of the same file, so they count themselves. That is the one hard thing here:
to find room for a new block, one may need a new block.

Source: QEMU, docs/interop/qcow2.txt, "Host cluster management".
"""

from __future__ import annotations

import struct

from xenlab.storage.qcow2.hostfile import HostFile
from xenlab.storage.qcow2.layout import Qcow2Error, table_offset

_FORMATS = {8: "B", 16: "H", 32: "I", 64: "Q"}


def unpack_counts(block: bytes, bits: int) -> list[int]:
    """Decode a refcount block whose counts are `bits` wide (1 to 64); narrow ones fill a byte low end first.

    >>> unpack_counts(b"\\x00\\x01\\x00\\x02", 16)
    [1, 2]
    >>> unpack_counts(b"\\x07", 1)
    [1, 1, 1, 0, 0, 0, 0, 0]
    """
    if bits >= 8:
        return list(struct.unpack(f">{len(block) * 8 // bits}{_FORMATS[bits]}", block))
    mask = (1 << bits) - 1
    return [byte >> shift & mask for byte in block for shift in range(0, 8, bits)]


def pack_counts(counts: list[int], bits: int) -> bytes:
    """Encode counts as `unpack_counts` decodes them."""
    if bits >= 8:
        return struct.pack(f">{len(counts)}{_FORMATS[bits]}", *counts)
    per_byte = 8 // bits
    rows = (counts[at : at + per_byte] for at in range(0, len(counts), per_byte))
    return bytes(sum(count << bits * place for place, count in enumerate(row)) for row in rows)


class Refcounts:
    """The reference counts of an image, and `allocate` and `release` over them.

    Every change goes to the file at once. Arguments: `host`, the file.
    """

    def __init__(self, host: HostFile) -> None:
        self._host = host
        header = host.header
        self._bits, self._per_block = header.refcount_bits, header.refcounts_per_block
        self._table = host.read_numbers(
            header.refcount_table_offset, header.refcount_table_clusters * header.cluster_size // 8
        )
        self._blocks: dict[int, list[int]] = {}
        self._hint = 0  # no cluster below this one is free

    def get(self, cluster: int) -> int:
        """Return how often host cluster number `cluster` is used."""
        block = self._block(cluster // self._per_block)
        return block[cluster % self._per_block] if block else 0

    def used(self) -> int:
        """Return how many host clusters are in use: the room the image really takes."""
        return sum(1 for index in range(len(self._table)) for count in self._block(index) or () if count)

    def end(self) -> int:
        """Return the offset after the last cluster in use."""
        for index in reversed(range(len(self._table))):
            for place, count in reversed(list(enumerate(self._block(index) or ()))):
                if count:
                    return (index * self._per_block + place + 1) * self._host.header.cluster_size
        return 0

    def check_used(self, offset: int) -> None:
        """Raise `Qcow2Error` if the cluster at `offset`, about to be written, counts as free."""
        if self.get(offset // self._host.header.cluster_size) == 0:
            raise Qcow2Error(
                f"a table points to {offset:#x}, which is free: the image is corrupt; qemu-img check -r all"
            )

    def allocate(self, count: int = 1) -> int:
        """Take `count` free clusters in a row; return the offset of the first in the file."""
        cluster, run = self._hint, 0
        while run < count:
            if self._block(cluster // self._per_block) is None:
                self._add_block(cluster // self._per_block, cluster - run)  # it takes the first of the run
                run = max(run - 1, 0)
            else:
                run = 0 if self.get(cluster) else run + 1
                cluster += 1
        first = cluster - count
        for taken in range(first, cluster):
            self._set(taken, 1)
        if count == 1:
            self._hint = cluster
        return first * self._host.header.cluster_size

    def release(self, offset: int) -> None:
        """Use the cluster at `offset` once less; at 0 it is free again."""
        cluster = offset // self._host.header.cluster_size
        count = self.get(cluster)
        if count == 0:
            raise Qcow2Error(
                f"host cluster {cluster} was free already: the image is corrupt; run qemu-img check -r all"
            )
        self._set(cluster, count - 1)

    def _block(self, index: int) -> list[int] | None:
        if index not in self._blocks:
            offset = table_offset(self._table[index]) if index < len(self._table) else 0
            if not offset:
                return None
            self._blocks[index] = unpack_counts(
                self._host.read_table(offset, self._host.header.cluster_size), self._bits
            )
        return self._blocks[index]

    def _set(self, cluster: int, count: int) -> None:
        index, place = divmod(cluster, self._per_block)
        block = self._block(index)
        if block is None:
            raise Qcow2Error(f"host cluster {cluster} has no refcount block: the image is corrupt")
        block[place] = count
        per_write = max(1, 8 // self._bits)  # counts narrower than a byte are written with their neighbours
        place -= place % per_write
        at = table_offset(self._table[index]) + place * self._bits // 8
        self._host.write(at, pack_counts(block[place : place + per_write], self._bits))
        if count == 0:
            self._hint = min(self._hint, cluster)

    def _add_block(self, index: int, cluster: int) -> None:
        """Make the missing block number `index`, in the free host cluster number `cluster`."""
        if index >= len(self._table):
            self._grow_table()
            return
        counts = [0] * self._per_block
        if cluster // self._per_block == index:
            counts[cluster % self._per_block] = 1  # it counts itself
        else:
            self._set(cluster, 1)
        offset = cluster * self._host.header.cluster_size
        self._link_block(index, offset, counts)
        self._host.write_numbers(self._host.header.refcount_table_offset + 8 * index, [offset])

    def _link_block(self, index: int, offset: int, counts: list[int]) -> None:
        self._host.write(offset, pack_counts(counts, self._bits))
        self._blocks[index] = counts
        self._table[index] = offset

    def _grow_table(self) -> None:
        """Move the table to a larger place past everything it counts, with the blocks that count that place.

        The new region starts with the first cluster the old table cannot count. The header is switched over
        last, in one write, so the old table is good until the new one is.
        """
        header = self._host.header
        old_offset, old_clusters = header.refcount_table_offset, header.refcount_table_clusters
        first_index = len(self._table)
        first = first_index * self._per_block
        clusters = old_clusters * 3 // 2 + 1
        blocks = -(-clusters // (self._per_block - 1))
        self._table += [0] * (clusters * header.cluster_size // 8 - first_index)
        for number in range(blocks):
            taken = min(max(blocks + clusters - number * self._per_block, 0), self._per_block)
            counts = [1] * taken + [0] * (self._per_block - taken)
            self._link_block(first_index + number, (first + number) * header.cluster_size, counts)
        offset = (first + blocks) * header.cluster_size
        self._host.write_numbers(offset, self._table)
        self._host.update_header(refcount_table_offset=offset, refcount_table_clusters=clusters)
        for freed in range(old_clusters):
            self.release(old_offset + freed * header.cluster_size)
