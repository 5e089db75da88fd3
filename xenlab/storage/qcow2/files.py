"""Images by file name: making one, and opening one with the whole chain below it."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Literal

from xenlab.storage.blockdev import FileDisk, StorageError
from xenlab.storage.qcow2.blank import format_image
from xenlab.storage.qcow2.image import Image
from xenlab.storage.qcow2.layout import Qcow2Error

StrPath = str | os.PathLike[str]


def open_image(path: StrPath, *, writable: bool = False, backing_writable: bool = False) -> Image:
    """Open the qcow2 image at `path` and the chain of backing files below it.

    `backing_writable` opens the first backing file for writing too, which only `commit` needs.
    Raises `StorageError` for a file that is missing, is no qcow2 image, or has itself in the chain below.
    """
    return _open_image(Path(path), writable, backing_writable, ())


def open_disk(path: StrPath, format: str | None = None, *, writable: bool = False) -> Image | FileDisk:
    """Open a disk file as its `format` says, ``"qcow2"`` or ``"raw"``; without one, look at its first bytes.

    Raises `StorageError` if it cannot be opened or the format is another.
    """
    return _open_disk(Path(path), format, writable, ())


def create_image(
    path: StrPath,
    size: int | None = None,
    *,
    cluster_size: int = 64 * 1024,
    version: Literal[2, 3] = 3,
    refcount_bits: int = 16,
    backing_file: str | None = None,
    backing_format: Literal["raw", "qcow2"] = "qcow2",
) -> Image:
    """Make a new, empty image file and open it for writing.

    Arguments as for `format_image`. `backing_file` is taken relative to the new image's directory; with it,
    `size` may be left out and is the backing disk's. Raises `StorageError` if there is a file at `path`
    already.
    """
    path = Path(path)
    if size is None:
        if backing_file is None:
            raise StorageError("size must be given for an image without a backing file")
        with open_disk(path.parent / backing_file, backing_format) as below:
            size = below.size
    empty = io.BytesIO()
    format_image(
        empty,
        size,
        cluster_size=cluster_size,
        version=version,
        refcount_bits=refcount_bits,
        backing_file=backing_file,
        backing_format=backing_format if backing_file else None,
    )
    try:
        with path.open("xb") as file:
            file.write(empty.getvalue())
    except OSError as error:
        raise StorageError(f"cannot create {path}: {error.strerror}") from error
    return open_image(path, writable=True)


def _open_image(path: Path, writable: bool, backing_writable: bool, above: tuple[Path, ...]) -> Image:
    path = path.resolve()
    if path in above:
        raise StorageError(f"the backing chain runs in a circle: {path} is below itself")
    try:
        file = path.open("r+b" if writable else "rb")
    except OSError as error:
        raise StorageError(f"cannot open {path}: {error.strerror}") from error
    try:
        image = Image(file, name=path.name)
        below = image.header.backing_file
        if below is not None:
            image.backing = _open_disk(
                path.parent / below, image.header.backing_format, backing_writable, (*above, path)
            )
    except StorageError:
        file.close()
        raise
    return image


def _open_disk(path: Path, format: str | None, writable: bool, above: tuple[Path, ...]) -> Image | FileDisk:
    if format is None:
        with FileDisk(path) as disk:
            format = "qcow2" if disk.size >= 4 and disk.read(0, 4) == b"QFI\xfb" else "raw"
    if format == "qcow2":
        return _open_image(path, writable, False, above)
    if format == "raw":
        return FileDisk(path, writable=writable)
    raise Qcow2Error(f"format(={format!r}) of {path} must be 'qcow2' or 'raw'")
