"""qcow2 images of a host, by QEMU's own programs in dom0: ``qemu-img``, ``qemu-io`` and ``qemu-nbd``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pandas as pd

from xenlab.commands import Commands
from xenlab.storage.blockdev import StorageError

_NBD_DEVICES = 16  # as many as Linux makes


@dataclass(frozen=True)
class ImageFile:
    """A qcow2 image in dom0, known by its path."""

    host: Commands
    path: str

    def info(self) -> dict[str, Any]:
        """What ``qemu-img info`` says of it: format, virtual-size, actual-size, cluster-size, backing-filename, …"""
        return dict(self._json("info"))

    def map(self) -> pd.DataFrame:
        """Who serves which bytes, by ``qemu-img map``: start, length, depth (0 is this image), present, zero, data."""
        rows = self._json("map")
        return pd.DataFrame(rows, columns=["start", "length", "depth", "present", "zero", "data"])

    def check(self) -> str:
        """Return what ``qemu-img check`` finds; raises `CommandFailed` if the image is damaged."""
        return self.host.run(["qemu-img", "check", self.path]).stdout

    def write(self, start: int, length: int, byte: int = 0x58) -> None:
        """Write `length` bytes from byte `start`, all `byte`, as a guest would. No guest may have it open."""
        command = f"write -q -P {byte:#x} {start} {length}"
        self.host.run(["qemu-io", "-f", "qcow2", "-c", command, self.path])

    def overlay(self, path: str) -> ImageFile:
        """Make a new, empty image at `path` on top of this one; raises `StorageError` if there is a file."""
        _require_new(self.host, path)
        self.host.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", self.path, path])
        return ImageFile(self.host, path)

    def commit(self) -> None:
        """Merge it into the image below it. Any other image on that one is ruined."""
        self.host.run(["qemu-img", "commit", "-q", self.path])

    def connect(self) -> str:
        """Make it a block device of dom0 and return the path of that; what is written there goes into the image.

        ``qemu-nbd`` serves it to the kernel, as a network block device on this machine. Until `disconnect` QEMU keeps
        everybody else from the image, and from writing to those below it. Raises `StorageError` if all devices are
        taken.
        """
        self.host.run(["modprobe", "nbd"])
        for number in range(_NBD_DEVICES):
            if not self.host.run(["test", "-e", f"/sys/block/nbd{number}/pid"], check=False).ok:
                device = f"/dev/nbd{number}"
                self.host.run(["qemu-nbd", "-c", device, "-f", "qcow2", self.path])
                return device
        raise StorageError(f"all {_NBD_DEVICES} network block devices are taken; disconnect one")

    def disconnect(self, device: str) -> None:
        """Take the block `device` away that `connect` returned. A guest that has it open gets I/O errors."""
        self.host.run(["qemu-nbd", "-d", device])

    def remove(self) -> None:
        """Remove the file."""
        self.host.run(["rm", self.path])

    def _json(self, command: str) -> Any:
        done = self.host.run(["qemu-img", command, "--output=json", self.path])
        return json.loads(done.stdout)


def create_image(host: Commands, path: str, size: str) -> ImageFile:
    """Make an empty image at `path` in dom0, `size` such as ``"64M"``; raises `StorageError` if there is a file."""
    _require_new(host, path)
    host.run(["qemu-img", "create", "-q", "-f", "qcow2", path, size])
    return ImageFile(host, path)


def _require_new(host: Commands, path: str) -> None:
    if host.run(["test", "-e", path], check=False).ok:
        raise StorageError(
            f"path(={path!r}) must not exist yet: nothing is overwritten; choose another or remove it"
        )
