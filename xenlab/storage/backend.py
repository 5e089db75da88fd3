"""Who serves a disk: the backend that libxl chooses for it.

* ``phy``: the dom0 kernel (xen-blkback), for block devices; a raw image file gets a loop device first.
* ``qdisk``: a QEMU process in dom0, for any image format.
* ``tap``: gone from today's dom0 kernels, never chosen.
* ``standalone``: a process that is not libxl's, found through xenstore; only for virtio disks.

Source: libxl_device.c: libxl__device_disk_set_backend, disk_try_backend; libxl_disk.c:
libxl__device_disk_setdefault.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from xenlab.storage.blockdev import StorageError
from xenlab.storage.diskspec import Backend, DiskSpec

_SET_BACKEND = "libxl_device.c:{}:libxl__device_disk_set_backend"
_SET_DEFAULT = "libxl_disk.c:196:libxl__device_disk_setdefault"

PathKind = Literal["block device", "file", "directory", "missing"]


class BackendError(StorageError):
    """No backend can serve the disk; the text is libxl's error, `where` its place in the sources (4.17)."""

    def __init__(self, text: str, where: str) -> None:
        super().__init__(text)
        self.where = where


@dataclass(frozen=True)
class Choice:
    """The backend chosen, and what libxl noted (at debug level) about those it passed over."""

    backend: Backend
    passed_over: tuple[str, ...] = ()


def choose_backend(
    disk: DiskSpec, path_kind: PathKind, *, guest: Literal["pv", "pvh", "hvm"] = "pv"
) -> Choice:
    """Return the backend libxl takes for a disk.

    Arguments: `disk`; `path_kind`, what its target is in dom0; `guest`, the domain's type (an HVM guest's CD
    drive is emulated by QEMU, so QEMU serves it).
    Raises `BackendError` for a target that is missing, an empty disk that is no CD drive, or if none fits.

    >>> from xenlab.storage.diskspec import parse_disk
    >>> choose_backend(parse_disk("/dev/vg0/web,raw,xvda,w"), "block device").backend
    'phy'
    >>> choice = choose_backend(parse_disk("/srv/web.qcow2,qcow2,xvda,w"), "file")
    >>> choice.backend, choice.passed_over
    ('qdisk', ('Disk vdev=xvda, backend phy unsuitable due to format qcow2',))
    """
    wanted = disk.backend
    if disk.is_cdrom and guest == "hvm":
        if wanted not in (None, "qdisk"):
            raise BackendError("Backend for CD devices on HVM guests must be Qdisk", _SET_DEFAULT)
        wanted = "qdisk"
    _check_target(disk, path_kind, wanted)
    passed_over: list[str] = []
    candidates: tuple[Backend, ...] = get_args(Backend) if wanted is None else (wanted,)
    for backend in sorted(candidates, key=("phy", "qdisk", "tap", "standalone").index):
        unsuitable = _why_not(disk, backend, path_kind)
        if unsuitable is None:
            return Choice(backend, tuple(passed_over))
        passed_over.append(f"Disk vdev={disk.vdev}, backend {backend} {unsuitable}")
    raise BackendError(f"no suitable backend for disk {disk.vdev}", _SET_BACKEND.format(475))


def _check_target(disk: DiskSpec, path_kind: PathKind, wanted: Backend | None) -> None:
    if disk.format == "empty":
        if not disk.is_cdrom:
            raise BackendError(f"Disk vdev={disk.vdev} is empty but not cdrom", _SET_BACKEND.format(439))
        if disk.target:
            raise BackendError(
                f"Disk vdev={disk.vdev} is empty but an image has been provided: {disk.target}",
                _SET_BACKEND.format(443),
            )
    elif path_kind == "missing" and _is_local_path(disk) and wanted in (None, "phy", "standalone"):
        raise BackendError(
            f"Disk vdev={disk.vdev} failed to stat: {disk.target}: No such file or directory",
            _SET_BACKEND.format(455),
        )


def _is_local_path(disk: DiskSpec) -> bool:
    """Is the target a path in this dom0, and not a script's argument or a driver domain's business?"""
    return disk.script is None and disk.backend_domain in (None, "0", "Domain-0")


def _why_not(disk: DiskSpec, backend: Backend, path_kind: PathKind) -> str | None:
    """Return libxl's reason against a backend, None if it will do."""
    virtio = disk.specification == "virtio"
    if virtio != (backend == "standalone"):
        return f"not compatible with specification {disk.specification or 'xen'}"
    if backend == "tap":
        return "unsuitable because blktap not available"
    if backend in ("phy", "standalone") and disk.format != "raw":
        return f"unsuitable due to format {disk.format}"
    if backend in ("qdisk", "standalone") and disk.script is not None:
        return "not compatible with script=..."
    if backend in ("phy", "standalone"):
        if disk.colo:
            return "not compatible with colo"
        if _is_local_path(disk) and path_kind not in ("block device", "file"):
            return "unsuitable as phys path not a block device"
    return None
