"""Virtual device numbers: ``xvda`` in a domain's configuration, 51712 in xenstore.

The number packs a kind, a disk and a partition (0 is the whole disk) into 29 bits. It names the device's
directories in xenstore and the guest derives its own device name from it, so it is part of the interface
between the domains.

Source: xen-vbd-interface(7); libxl_device.c: libxl__device_disk_dev_number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from xenlab.storage.blockdev import StorageError

_EXTENDED = 1 << 28
_INT_MAX = (1 << 31) - 1


class VdevError(StorageError):
    """A name or number that is no virtual disk's."""


@dataclass(frozen=True)
class Vdev:
    """A virtual disk or a partition of one.

    `kind`: ``xvd`` (Xen's own), ``hd`` (IDE) or ``sd`` (SCSI). `disk` counts from 0; `partition` 0 is the
    whole disk.

    >>> Vdev("xvd", 0).number, Vdev("xvd", 0).name
    (51712, 'xvda')
    >>> Vdev("xvd", 536, 37).name
    'xvdtq37'
    """

    kind: Literal["xvd", "hd", "sd"]
    disk: int
    partition: int = 0

    @property
    def number(self) -> int:
        """The number in xenstore."""
        if self.kind == "hd":
            return (3 if self.disk < 2 else 22) << 8 | (self.disk & 1) << 6 | self.partition
        if self.kind == "sd":
            return 8 << 8 | self.disk << 4 | self.partition
        if self.disk < 16 and self.partition < 16:
            return 202 << 8 | self.disk << 4 | self.partition
        return _EXTENDED | self.disk << 8 | self.partition

    @property
    def name(self) -> str:
        """The name in a configuration: kind, letters for the disk (after z comes aa), partition."""
        letters, rest = "", self.disk + 1
        while rest:
            rest, letter = divmod(rest - 1, 26)
            letters = chr(ord("a") + letter) + letters
        return f"{self.kind}{letters}{self.partition or ''}"


#: Highest disk and highest partition of each kind.
_LIMITS: dict[Literal["xvd", "hd", "sd"], tuple[int, int]] = {
    "xvd": ((1 << 20) - 1, 255),
    "hd": (3, 63),
    "sd": (15, 15),
}


def parse_vdev(name: str) -> Vdev:
    """Read a device name: ``xvda``, ``xvda1``, ``hdc``, ``sdb3``, or ``d1p2`` for disk 1's partition 2.

    Raises `VdevError`, in libxl's words, for anything else or a disk or partition out of range.

    >>> parse_vdev("d1p2").name
    'xvdb2'
    >>> parse_vdev("hde")
    Traceback (most recent call last):
    ...
    xenlab.storage.vdev.VdevError: Invalid or unsupported virtual disk identifier hde
    """
    match = re.fullmatch(r"d([0-9]\w*)p([0-9]\w*)", name)
    if match:
        disk, partition = _c_number(match[1]), _c_number(match[2])
        if disk is not None and partition is not None and disk <= _LIMITS["xvd"][0] and partition <= 255:
            return Vdev("xvd", disk, partition)
    for kind, (last_disk, last_partition) in _LIMITS.items():
        match = re.fullmatch(rf"{kind}([a-z]+)([1-9][0-9]*)?", name)
        if match:
            disk, partition = _letters(match[1]), int(match[2] or 0)
            if disk <= last_disk and partition <= last_partition:
                return Vdev(kind, disk, partition)
    raise VdevError(f"Invalid or unsupported virtual disk identifier {name}")


def vdev_number(name: str) -> int:
    """Return the number that libxl writes into xenstore for a device name; a bare number stands for itself.

    >>> [vdev_number(name) for name in ("xvda", "xvdb", "hda", "hdc", "sda", "xvdq", "51712", "0xca00")]
    [51712, 51728, 768, 5632, 2048, 268439552, 51712, 51712]
    """
    number = _c_number(name)
    if number is not None and number <= _INT_MAX:
        return number
    return parse_vdev(name).number


def find_vdev(number: int) -> Vdev:
    """Return the virtual disk that a number from xenstore stands for.

    Raises `VdevError` for a number of the reserved ranges.

    >>> find_vdev(51713).name, find_vdev(268439552).name
    ('xvda1', 'xvdq')
    """
    major, minor = number >> 8, number & 0xFF
    if number >> 28 == 1:
        return Vdev("xvd", (number & ~_EXTENDED) >> 8, minor)
    if major == 202:
        return Vdev("xvd", minor >> 4, minor & 15)
    if major == 8:
        return Vdev("sd", minor >> 4, minor & 15)
    if major in (3, 22) and minor < 128:
        return Vdev("hd", (minor >> 6) + (2 if major == 22 else 0), minor & 63)
    raise VdevError(f"number(={number}) must be that of an xvd, hd or sd device; see xen-vbd-interface(7)")


def _letters(text: str) -> int:
    disk = -1
    for letter in text:
        disk = (disk + 1) * 26 + ord(letter) - ord("a")
    return disk


def _c_number(text: str) -> int | None:
    """Read a number as C does: 0x for hexadecimal, a leading 0 for octal."""
    match = re.fullmatch(r"0[xX]([0-9a-fA-F]+)|(0[0-7]*)|([1-9][0-9]*)", text)
    if not match:
        return None
    hexadecimal, octal, decimal = match.groups()
    return int(hexadecimal, 16) if hexadecimal else int(octal, 8) if octal else int(decimal)
