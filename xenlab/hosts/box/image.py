"""The box's image: what QEMU boots, and the snapshot of the host ready to be used.

An image is a folder with xen, vmlinuz, initrd, dom0.squashfs, data.img, spare.img, state.zst and image.json. It is
built beside its final place and renamed when it is whole, so a half-built one is never used.
"""

from __future__ import annotations

import errno
import fcntl
import gzip
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

from xenlab.commands import XenlabError
from xenlab.hosts.box import guestkernel, recipe, snapshot, tree
from xenlab.hosts.box.packages import Apt, Package, tool, unpack
from xenlab.hosts.box.qemu import Drive, find_qemu

#: Told the name of a step and how much of the whole is done when it starts, 0 to 1.
Progress = Callable[[str, float], None]

LISTS_ARE_FRESH = 24 * 3600.0
NEEDED_BYTES = 1_500_000_000


class NoImage(XenlabError):
    """There is no image to start a box from."""


class NoRoom(XenlabError):
    """The disk is too full for the image."""


@dataclass(frozen=True)
class Image:
    """A whole image on disk, the accelerator its snapshot was made with, and which kernel its guests have."""

    folder: Path
    accelerator: tuple[str, ...]
    small_guest: bool

    def drives(self) -> list[Drive]:
        """The box's disks: dom0's, its data, and a blank one for exercises; what a box writes goes with it."""
        disks = ("dom0.squashfs", "readonly"), ("data.img", "scratch"), ("spare.img", "scratch")
        return [Drive(self.folder / name, mode) for name, mode in disks]

    @property
    def bytes_on_disk(self) -> int:
        """Bytes the image really takes: its disks are mostly holes."""
        return sum(path.stat().st_blocks * 512 for path in self.folder.iterdir())


def cache_folder() -> Path:
    """Where images and packages are kept."""
    return platformdirs.user_cache_path("xenlab") / "box"


def find() -> Image:
    """The image to start boxes from: the one `XENLAB_BOX` names, else the newest one built here.

    Raises:
        NoImage: There is none; the message says how to build one.

    """
    named = os.environ.get("XENLAB_BOX")
    if named:
        return _load(Path(named))
    if images := built():
        return images[0]
    if _is_being_built(cache_folder()):
        raise NoImage("the box image is being built just now: connect again in a few minutes")
    raise NoImage("no box image has been built here yet: run `xenlab box build` (about three minutes)")


def built() -> list[Image]:
    """The whole images in the cache, the one that was asked for last first."""
    found = (cache_folder() / "images").glob("*/image.json")
    newest_first = sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)
    return [_load(path.parent) for path in newest_first]


def _load(folder: Path) -> Image:
    try:
        facts = json.loads((folder / "image.json").read_text())
    except FileNotFoundError:
        raise NoImage(
            f"{folder} holds no box image: image.json is missing; build one with `xenlab box build`"
        ) from None
    return Image(folder, tuple(facts["accelerator"]), facts["small_guest"])


def build(progress: Progress = lambda step, done: None, *, small_guest: bool = False) -> Image:
    """Build the image from this machine's package sources, or return the one that is there already.

    Args:
        progress: Told of each step.
        small_guest: Compile the small guest kernel (about eight minutes of processor time), instead of the stock one.

    Raises:
        ToolsMissing: The small guest is asked for, and there is no compiler.
        PackageMissing: This distribution lacks a package.
        QemuMissing: There is no QEMU.
        NoRoom: Less than 1.5 GB is free.

    """
    find_qemu()
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _one_at_a_time(cache):
        progress("reading package lists", 0.0)
        apt = Apt(cache / "apt")
        if _age(cache / "apt/updated") > LISTS_ARE_FRESH:
            apt.update()
            (cache / "apt/updated").touch()
        packages = apt.resolve(recipe.names())
        target = cache / "images" / recipe.digest(packages, "small" if small_guest else "stock")
        if not (target / "image.json").exists():
            _check_room(cache)
            _sweep(cache)
            with (
                _full_disk_means_no_room(cache),
                tempfile.TemporaryDirectory(prefix="building-", dir=cache) as work,
            ):
                _build(Path(work), apt, packages, progress, small_guest)
                target.parent.mkdir(exist_ok=True)
                (Path(work) / "image").rename(target)
            _remove_others(target)
        # `find` takes the image that was asked for last.
        os.utime(target / "image.json")
        progress("ready", 1.0)
        return _load(target)


def _build(
    work: Path, apt: Apt, packages: tuple[Package, ...], progress: Progress, small_guest: bool
) -> None:
    image = work / "image"
    image.mkdir()
    progress(f"fetching {len(packages)} packages", 0.05)
    archives = apt.download(packages)
    progress("unpacking packages", 0.25)
    root, dom0_kernel, guest_kernel = work / "root", work / "dom0-kernel", work / "guest-kernel"
    kernels = [path for path in archives if path.name.startswith(("linux-image-", "linux-modules-"))]
    is_guest = ("-cloud-" in path.name or "-kvm" in path.name for path in kernels)
    for path, guest in zip(kernels, is_guest, strict=True):
        unpack([path], guest_kernel if guest else dom0_kernel)
    unpack([path for path in archives if path not in kernels], root)
    if small_guest:
        progress("compiling the small guest kernel", 0.3)
        (work / "kernel").mkdir()
        kept = work.parent / "kernels"
        guests = _small_guest(guestkernel.kernel(apt, kept, work / "kernel"), root)
    else:
        guests = _stock_guest(guest_kernel, root)
    progress("putting dom0 together", 0.35)
    _assemble(image, root, dom0_kernel, guests)
    progress("starting Xen for the first time", 0.5)
    facts = snapshot.take(image, progress)
    facts["small_guest"] = small_guest
    facts["packages"] = [asdict(package) for package in packages]
    (image / "image.json").write_text(json.dumps(facts, indent=1))


def _stock_guest(kernel: Path, root: Path) -> dict[str, bytes]:
    elf = tree.kernel_elf(_only(kernel, "boot/vmlinuz-*").read_bytes())
    return {"vmlinux": elf, **_initrds(root, tree.Modules(kernel, root))}


def _small_guest(elf: bytes, root: Path) -> dict[str, bytes]:
    return {"vmlinux": elf, **_initrds(root, None)}


def _initrds(root: Path, modules: tree.Modules | None) -> dict[str, bytes]:
    busybox = _busybox(root)
    return {
        "initrd.gz": tree.guest_initramfs(busybox, modules),
        "initrd-nfs.gz": tree.guest_initramfs(busybox, modules, nfs=True),
    }


def _busybox(root: Path) -> bytes:
    return _only(root, "*bin/busybox").read_bytes()


def _assemble(image: Path, root: Path, dom0_kernel: Path, guests: dict[str, bytes]) -> None:
    (image / "xen").write_bytes(gzip.decompress(_only(root, "boot/xen-*.gz").read_bytes()))
    (image / "vmlinuz").write_bytes(_only(dom0_kernel, "boot/vmlinuz-*").read_bytes())
    modules = tree.Modules(dom0_kernel, root)
    (image / "initrd").write_bytes(tree.dom0_initramfs(_busybox(root), modules))
    tree.dom0_root(root, modules, guests)
    data = _blank(image / "data.img", recipe.DATA_DISK_GIB)
    tool(root, "usr/sbin/mkfs.ext4", "-q", "-O", "^has_journal", "-E", "lazy_itable_init=1", str(data))
    _blank(image / "spare.img", 2)
    squashfs = (
        "-all-root",
        "-noappend",
        "-comp",
        "zstd",
        "-Xcompression-level",
        "6",
        "-quiet",
        "-no-progress",
    )
    tool(root, "usr/bin/mksquashfs", str(root), str(image / "dom0.squashfs"), *squashfs)


def _only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def _blank(path: Path, gibibytes: int) -> Path:
    with path.open("wb") as file:
        file.truncate(gibibytes << 30)
    return path


def _age(path: Path) -> float:
    return time.time() - path.stat().st_mtime if path.exists() else float("inf")


def _check_room(cache: Path) -> None:
    free = shutil.disk_usage(cache).free
    if free < NEEDED_BYTES:
        raise _no_room(cache, free)


def _no_room(cache: Path, free: int) -> NoRoom:
    return NoRoom(
        f"free space in {cache} (={free / 1e9:.1f} GB) must be at least {NEEDED_BYTES / 1e9:.1f} GB: "
        "make room, or name a ready image with XENLAB_BOX"
    )


@contextmanager
def _full_disk_means_no_room(cache: Path) -> Iterator[None]:
    """Others write to the disk too: it may fill up while we build."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise _no_room(cache, shutil.disk_usage(cache).free) from error


def _sweep(cache: Path) -> None:
    """Remove what a build that was killed has left: we hold the lock, so nobody is at work there."""
    for leftover in cache.glob("building-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _remove_others(target: Path) -> None:
    """Remove images of the same kind by an older recipe; a box that runs has all it needs of its own open."""
    for other in built():
        if other.folder != target and other.small_guest == _load(target).small_guest:
            shutil.rmtree(other.folder)


def _is_being_built(cache: Path) -> bool:
    if not (cache / "lock").exists():
        return False
    with (cache / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


@contextmanager
def _one_at_a_time(cache: Path) -> Iterator[None]:
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
