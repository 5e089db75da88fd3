"""qemu-img and qemu-io in the simulated dom0: qcow2 images in its files, by xenlab's own qcow2.

Only what the chapters and drivers use: create, info, map, check, commit and writing; the words are those of
QEMU 7.2.
"""

from __future__ import annotations

import io
import json
import re
import shlex
from collections.abc import Callable, Iterator
from enum import Enum
from itertools import pairwise
from posixpath import dirname, join

from xenlab.hosts.sim.getopt import BadOption, parse_options
from xenlab.hosts.sim.process import NotSimulated, Process
from xenlab.hosts.sim.world import World
from xenlab.storage.blockdev import DiskError, StorageError
from xenlab.storage.qcow2 import Cluster, Image, Kind, commit, format_image, layers

_PAGE = 4096
_BAD_SIZE = (
    "qemu-img: Invalid image size specified. You may use k, M, G, T, P or E suffixes for\n"
    "qemu-img: kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes."
)


class CannotOpen(Exception):
    """An image that cannot be opened, with QEMU's words for it."""


class Lock(Enum):
    """How an image is opened: to write to it, to read it, or only to look at its header."""

    WRITE = 'Failed to get "write" lock'
    READ = 'Failed to get shared "write" lock'
    NONE = ""


class ImageBytes(io.BytesIO):
    """An image file of the simulated dom0, held open."""

    def __init__(self, world: World, path: str) -> None:
        try:
            super().__init__(world.files.read(path))
        except OSError as error:
            raise CannotOpen(f"Could not open '{path}': {error.strerror}") from None
        self._world, self.path = world, path

    def keep(self) -> None:
        """Write what it holds back to dom0's file."""
        self._world.files.write(self.path, self.getvalue())


def open_image(
    world: World, path: str, lock: Lock = Lock.READ, backing: bool = True
) -> tuple[Image, list[ImageBytes]]:
    """Open an image and the chain below it; return it with the files from the top.

    One that somebody has open for writing is not even read, one below it is not written.
    """
    file = ImageBytes(world, path)
    if (
        any(path == held[0] or (lock is Lock.WRITE and path in held) for held in world.locks.values())
        and lock.value
    ):
        raise CannotOpen(f"{lock.value}\nIs another process using the image [{path}]?")
    try:
        image = Image(file, name=path)
    except StorageError:
        raise NotSimulated(f"an image that is not qcow2, or damaged: {path}") from None
    files = [file]
    below = image.header.backing_file
    if backing and below is not None:
        try:
            image.backing, more = open_image(
                world, join(dirname(path), below), Lock.NONE if lock is Lock.NONE else Lock.READ
            )
        except CannotOpen as error:
            raise CannotOpen(f"Could not open backing file: {error}") from None
        files += more
    return image, files


def qemu_img(world: World, process: Process) -> int:
    """Make, describe, check and merge images."""
    command, *words = process.argv[1:] or [""]
    if command not in _COMMANDS:
        process.fail(f"qemu-img: Command not found: {command}\nTry 'qemu-img --help' for more information")
    try:
        options, operands = parse_options(words, "qf:F:b:", {"output": "b"})
    except BadOption:
        raise NotSimulated(" ".join(process.argv)) from None
    try:
        return _COMMANDS[command](world, process, dict(options), operands)
    except CannotOpen as error:
        process.fail(f"qemu-img: Could not open '{operands[0]}': {error}")


Options = dict[str, str]


def _create(world: World, process: Process, options: Options, operands: list[str]) -> int:
    path, below = operands[0], options.get("b")
    if options.get("f") != "qcow2" or options.get("F", "qcow2") != "qcow2":
        raise NotSimulated(" ".join(process.argv))
    size = _size(operands[1]) if len(operands) > 1 else None
    if len(operands) > 1 and size is None:
        process.fail(_BAD_SIZE)
    if below is not None:
        try:
            image, _ = open_image(world, join(dirname(path), below), Lock.NONE)
        except CannotOpen as error:
            process.fail(f"qemu-img: {path}: {error}\nCould not open backing image.")
        size = size or image.size
    if size is None:
        process.fail(f"qemu-img: {path}: Image creation needs a size parameter")
    file = io.BytesIO()
    format_image(file, size, backing_file=below, backing_format="qcow2" if below else None)
    world.files.write(path, file.getvalue())
    if "q" not in options:
        backing = f"backing_file={below} backing_fmt=qcow2 " if below else ""
        process.out(
            f"Formatting '{path}', fmt=qcow2 cluster_size=65536 extended_l2=off compression_type=zlib "
            f"size={size} {backing}lazy_refcounts=off refcount_bits=16\n"
        )
    return 0


def _info(world: World, process: Process, options: Options, operands: list[str]) -> int:
    path = operands[0]
    image, _ = open_image(world, path, backing=False)
    header = image.header
    taken = _taken(image)
    below = header.backing_file
    if options.get("b") == "json":
        facts: dict[str, object] = {"backing-filename-format": header.backing_format} if below else {}
        facts |= {"virtual-size": image.size, "filename": path, "cluster-size": header.cluster_size}
        facts |= {"format": "qcow2", "actual-size": taken}
        facts["format-specific"] = {
            "type": "qcow2",
            "data": {
                "compat": "1.1",
                "compression-type": "zlib",
                "lazy-refcounts": False,
                "refcount-bits": header.refcount_bits,
                "corrupt": False,
                "extended-l2": False,
            },
        }
        if below:
            facts |= {"full-backing-filename": join(dirname(path), below), "backing-filename": below}
        process.out(json.dumps(facts | {"dirty-flag": False}, indent=4) + "\n")
        return 0
    lines = [
        f"image: {path}",
        "file format: qcow2",
        f"virtual size: {_spell(image.size)} ({image.size} bytes)",
    ]
    lines += [f"disk size: {_spell(taken)}", f"cluster_size: {header.cluster_size}"]
    if below:
        lines += [f"backing file: {below}", f"backing file format: {header.backing_format}"]
        if not below.startswith("/"):
            full = join(dirname(path), below)
            lines[-2] += f" (actual path: {full})" if full != below else ""
    lines += ["Format specific information:", "    compat: 1.1", "    compression type: zlib"]
    lines += ["    lazy refcounts: false", f"    refcount bits: {header.refcount_bits}", "    corrupt: false"]
    process.out("\n".join([*lines, "    extended l2: false"]) + "\n")
    return 0


def _taken(image: Image) -> int:
    """Bytes that the file takes on the disk: its clusters in use, and of the L1 table's the pages that were written."""
    step, table = image.header.cluster_size, 8 * image.header.l1_size
    return image.allocated - -(-table // step) * step + -(-table // _PAGE) * _PAGE


def _map(world: World, process: Process, options: Options, operands: list[str]) -> int:
    image, _ = open_image(world, operands[0])
    chain = [layer for layer in layers(image) if isinstance(layer, Image)]
    parts = list(_parts(chain))
    if options.get("b") == "json":
        rows = []
        for start, length, depth, cluster in parts:
            flags = _flags(cluster)
            offset = {"offset": cluster.offset} if cluster.kind is Kind.DATA else {}
            row = {"start": start, "length": length, "depth": depth, **flags, **offset}
            rows.append("{ " + json.dumps(row)[1:-1] + "}")
        process.out("[" + ",\n".join(rows) + "]\n")
        return 0
    process.out("Offset          Length          Mapped to       File\n")
    for start, length, depth, cluster in parts:
        if cluster.kind is Kind.DATA:
            numbers = "".join(_hex(number).ljust(16) for number in (start, length, cluster.offset))
            process.out(f"{numbers}{chain[depth].name}\n")
    return 0


def _hex(number: int) -> str:
    """C's ``%#x``, which writes zero without its prefix."""
    return f"{number:#x}" if number else "0"


def _flags(cluster: Cluster) -> dict[str, bool]:
    data = cluster.kind is Kind.DATA
    return {"present": cluster.kind is not Kind.UNALLOCATED, "zero": not data, "data": data}


def _parts(chain: list[Image]) -> Iterator[tuple[int, int, int, Cluster]]:
    """Yield start, length, depth and cluster of each stretch that one layer serves from one run of its file."""
    size, at = chain[0].size, 0
    pending: tuple[int, int, int, Cluster] | None = None
    while at < size:
        depth, cluster, end = _who(chain, at)
        length = min(end, size) - at
        if pending is not None:
            start, before, above, first = pending
            goes_on = first.kind is not Kind.DATA or cluster.offset == first.offset + before
            if (above, first.kind) == (depth, cluster.kind) and goes_on:
                pending = (start, before + length, depth, first)
            else:
                yield pending
                pending = (at, length, depth, cluster)
        else:
            pending = (at, length, depth, cluster)
        at += length
    if pending is not None:
        yield pending


def _who(chain: list[Image], at: int) -> tuple[int, Cluster, int]:
    end = chain[0].size
    for depth, layer in enumerate(chain):
        end = min(end, layer.span(at))
        cluster = layer.lookup(at)
        if cluster.kind is not Kind.UNALLOCATED or depth == len(chain) - 1:
            return depth, cluster, end
    raise IndexError(at)


def _check(world: World, process: Process, options: Options, operands: list[str]) -> int:
    image, _ = open_image(world, operands[0])
    total = -(-image.size // image.header.cluster_size)
    own = [image.lookup(number * image.header.cluster_size) for number in range(total)]
    data = [cluster.offset for cluster in own if cluster.kind is Kind.DATA]
    step = image.header.cluster_size
    jumps = sum(later != earlier + step for earlier, later in pairwise(data))
    fragmented = 100 * jumps / len(data) if data else 0.0
    process.out("No errors were found on the image.\n")
    if data:
        process.out(
            f"{len(data)}/{total} = {100 * len(data) / total:.2f}% allocated, {fragmented:.2f}% fragmented, "
            "0.00% compressed clusters\n"
        )
    process.out(f"Image end offset: {image.end}\n")
    return 0


def _commit(world: World, process: Process, options: Options, operands: list[str]) -> int:
    image, files = open_image(world, operands[0], Lock.WRITE)
    if image.backing is None:
        process.fail("qemu-img: Image does not have a backing file")
    commit(image)
    for file in files[:2]:
        file.keep()
    if "q" not in options:
        process.out("Image committed.\n")
    return 0


_COMMANDS: dict[str, Callable[[World, Process, Options, list[str]], int]] = {
    "create": _create,
    "info": _info,
    "map": _map,
    "check": _check,
    "commit": _commit,
}


def qemu_io(world: World, process: Process) -> int:
    """Write into an image: ``qemu-io -f qcow2 -c "write -q -P BYTE START LENGTH" IMAGE``."""
    options, operands = parse_options(process.argv[1:], "f:c:", {})
    words = shlex.split(dict(options).get("c", ""))
    if words[:3] != ["write", "-q", "-P"] or len(words) != 6:
        raise NotSimulated(" ".join(process.argv))
    try:
        image, (file, *_) = open_image(world, operands[0], Lock.WRITE)
    except CannotOpen as error:
        process.fail(f"qemu-io: can't open device {operands[0]}: {error}")
    byte, start, length = (int(words[3], 0), _size(words[4]) or 0, _size(words[5]) or 0)
    try:
        image.write(start, bytes([byte]) * length)
    except DiskError:
        process.out("write failed: Input/output error\n")
        return 1
    file.keep()
    return 0


def _size(text: str) -> int | None:
    match = re.fullmatch(r"(\d+)([kKMGT]?)", text)
    return int(match[1]) << {"": 0, "k": 10, "K": 10, "M": 20, "G": 30, "T": 40}[match[2]] if match else None


def _spell(size: int) -> str:
    """A size as QEMU prints it: three significant digits and a binary unit (util/cutils.c: size_to_str)."""
    number, units = float(size), iter(("B", "KiB", "MiB", "GiB", "TiB"))
    unit = next(units)
    while number >= 1000:
        number, unit = number / 1024, next(units)
    return f"{number:.3g} {unit}"


PROGRAMS: dict[str, Callable[[World, Process], int]] = {"qemu-img": qemu_img, "qemu-io": qemu_io}
