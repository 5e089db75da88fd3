"""Images on images: which layer serves a block, and merging a layer into the one below.

A *backing chain* is read from the top: the first layer that holds a cluster serves it. ``golden ← web ←
web-today`` has depth 2 at most: three layers, and every read of a block that nobody changed walks through all
of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xenlab.storage.blockdev import BlockDevice, FileDisk, StorageError
from xenlab.storage.qcow2.image import Image
from xenlab.storage.qcow2.layout import Kind

Serving = Literal["data", "compressed", "zero", "nobody"]


@dataclass(frozen=True)
class Extent:
    """A stretch of the virtual disk served by one layer.

    `start` and `length` in bytes; `depth` counts layers from the top (0), None where no layer holds the
    stretch, which then reads as zeros; `serving` says what the layer has there.
    """

    start: int
    length: int
    depth: int | None
    serving: Serving


def layers(disk: BlockDevice) -> list[BlockDevice]:
    """Return the chain from the top: `disk`, its backing disk, the one below that, and so on."""
    chain = [disk]
    while isinstance(disk, Image) and disk.backing is not None:
        disk = disk.backing
        chain.append(disk)
    return chain


def served_by(disk: BlockDevice) -> list[Extent]:
    """Answer "who serves this block?" for the whole of `disk`: its extents in order, each as long as can be.

    A raw disk at the bottom holds all its blocks. The same as ``qemu-img map`` finds, but for holes in raw
    files.

    >>> import io
    >>> from xenlab.storage.blockdev import MemoryDisk
    >>> from xenlab.storage.qcow2 import format_image
    >>> file = io.BytesIO()
    >>> format_image(file, 192 * 1024)
    >>> top = Image(file, backing=MemoryDisk(128 * 1024))
    >>> top.write(0, b"changed")
    >>> for extent in served_by(top):
    ...     print(extent)
    Extent(start=0, length=65536, depth=0, serving='data')
    Extent(start=65536, length=65536, depth=1, serving='data')
    Extent(start=131072, length=65536, depth=None, serving='nobody')
    """
    chain = layers(disk)
    found: list[Extent] = []
    at = 0
    while at < disk.size:
        depth, serving, end = _who_serves(chain, at)
        length = min(end, disk.size) - at
        last = found[-1] if found else None
        if last is not None and (last.depth, last.serving) == (depth, serving):
            found[-1] = Extent(last.start, last.length + length, depth, serving)
        else:
            found.append(Extent(at, length, depth, serving))
        at += length
    return found


def _who_serves(chain: list[BlockDevice], at: int) -> tuple[int | None, Serving, int]:
    """Return the layer that serves byte `at`, how, and up to where the answer is known to hold."""
    end = chain[0].size
    for depth, layer in enumerate(chain):
        if at >= layer.size:
            break  # the layers below are not asked either: beyond its end a backing disk reads as zeros
        end = min(end, layer.size)
        if not isinstance(layer, Image):
            return depth, "data", end
        end = min(end, layer.span(at))
        kind = layer.lookup(at).kind
        if kind is Kind.ZERO:
            return depth, "zero", end
        if kind is not Kind.UNALLOCATED:
            return depth, "compressed" if kind is Kind.COMPRESSED else "data", end
    return None, "nobody", end


def commit(image: Image) -> int:
    """Merge `image` into the disk below it and empty it; return how many bytes were copied down.

    As ``qemu-img commit``. Every other image on the same backing disk sees it change under its feet and is
    ruined.
    Raises `StorageError` if there is nothing below, it is not open for writing, or it is smaller than
    `image`.
    """
    below = image.backing
    if below is None:
        raise StorageError(f"{image.name or 'the image'} has no backing file to commit to")
    if isinstance(below, Image | FileDisk) and not below.writable:
        raise StorageError("the backing file must be writable; open the image with backing_writable=True")
    if below.size < image.size:
        raise StorageError(
            f"the backing disk's {below.size} bytes must hold the image's {image.size}; resize it first"
        )
    copied = at = 0
    while at < image.size:
        end = image.span(at)
        if image.lookup(at).kind is not Kind.UNALLOCATED:
            below.write(at, image.read(at, end - at))
            copied += end - at
        at = end
    image.make_empty()
    return copied
