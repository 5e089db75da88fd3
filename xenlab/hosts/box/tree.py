"""The files of dom0 and of its guests, put together from unpacked packages."""

from __future__ import annotations

import glob
import gzip
import os
import re
import shutil
import struct
from collections.abc import Iterable
from pathlib import Path

import lz4.block
import zstandard

from xenlab.hosts.box import cpio, recipe
from xenlab.hosts.box.packages import tool

PASSWD = """root:x:0:0:root:/root:/bin/dash
sshd:x:100:65534::/run/sshd:/usr/sbin/nologin
statd:x:101:65534::/var/lib/nfs:/usr/sbin/nologin
_rpc:x:102:65534::/run/rpcbind:/usr/sbin/nologin
nobody:x:65534:65534::/:/usr/sbin/nologin
"""
XL_CONF = 'autoballoon="off"\nvif.default.bridge="xenbr0"\n'
LVM_CONF = """devices {
    scan = [ "/dev" ]
    # The disk for exercises and loop devices; never dom0's own two disks.
    global_filter = [ "a|^/dev/vdc|", "a|^/dev/loop|", "r|.*|" ]
    obtain_device_list_from_udev = 0
    use_devicesfile = 0
}
activation {
    udev_sync = 0
    udev_rules = 0
    verify_udev_operations = 0
    monitoring = 0
}
"""


def merge_usr(root: Path) -> None:
    """Make /bin, /sbin and /lib* links into /usr, as Debian's installer does (package usrmerge)."""
    for name in ("bin", "sbin", "lib", "lib64", "lib32"):
        old = root / name
        if old.is_dir() and not old.is_symlink():
            shutil.copytree(old, root / "usr" / name, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(old)
        if (root / "usr" / name).is_dir() and not old.is_symlink():
            old.symlink_to(f"usr/{name}")


class Modules:
    """The kernel modules of one unpacked kernel package, with what each needs."""

    def __init__(self, tree: Path, tools: Path) -> None:
        (self.folder,) = (tree / "lib/modules").iterdir()
        self.version = self.folder.name
        tool(tools, "bin/kmod", "-b", str(tree), self.version, name="depmod")
        self._needs: dict[str, list[str]] = {}
        for line in (self.folder / "modules.dep").read_text().splitlines():
            path, _, needs = line.partition(":")
            self._needs[path] = needs.split()
        self._path = {_module_name(path): path for path in self._needs}

    def closure(self, names: Iterable[str]) -> list[Path]:
        """The files to load for these modules, each after what it needs; built-in or unknown ones are left out."""
        order: dict[str, None] = {}
        for name in names:
            path = self._path.get(name.replace("-", "_"))
            if path:
                # modules.dep lists the nearest dependency first: load from its end.
                order.update(dict.fromkeys([*reversed(self._needs[path]), path]))
        return [self.folder / path for path in order]


def _module_name(path: str) -> str:
    return re.sub(r"\.ko(\.\w+)?$", "", Path(path).name).replace("-", "_")


def module_bytes(path: Path) -> bytes:
    """A kernel module's code, unpacked where the distribution compresses it."""
    data = path.read_bytes()
    return zstandard.decompress(data) if path.suffix == ".zst" else data


def kernel_elf(image: bytes) -> bytes:
    """The ELF file inside a bzImage, if it is packed with LZ4; else the image as it is.

    Debian's cloud kernel is: unpacking it once here saves every `xl create` the work (Linux: scripts/extract-vmlinux).
    The legacy LZ4 format is a magic number and blocks, each with its packed length in front.
    """
    start = image.find(b"\x02\x21\x4c\x18")
    if start < 0:
        return image
    at, parts = start + 4, []
    while at + 4 <= len(image):
        (length,) = struct.unpack_from("<I", image, at)
        block = image[at + 4 : at + 4 + length]
        try:
            parts.append(lz4.block.decompress(block, uncompressed_size=8 << 20))
        except lz4.block.LZ4BlockError:
            break
        at += 4 + length
        if len(parts[-1]) < 8 << 20:
            break
    elf = b"".join(parts)
    return elf if elf.startswith(b"\x7fELF") else image


def dom0_initramfs(busybox: bytes, modules: Modules) -> bytes:
    """dom0's first root file system: just enough to mount its disk."""
    files = modules.closure(recipe.DISK_MODULES)
    entries = [
        cpio.program("init", recipe.read("initramfs-init")),
        cpio.program("bin/busybox", busybox),
        *(
            cpio.program(f"modules/{index:02}-{_module_name(path.name)}.ko", module_bytes(path))
            for index, path in enumerate(files)
        ),
    ]
    return gzip.compress(cpio.archive(entries), 6, mtime=0)


#: What the guest's init calls; links made here cost nothing at boot.
APPLETS = (
    "sh mount insmod usleep sleep ip dd ping cat ls free ps ifconfig grep head wc mkdir umount sync"
    " switch_root".split()
)
#: The kernel runs these two when dom0 says `xl shutdown` or `xl reboot` (Linux: drivers/xen/manage.c).
ENDINGS = ("poweroff", "reboot")


def guest_initramfs(busybox: bytes, modules: Modules | None, nfs: bool = False) -> bytes:
    """All of a guest's user space: busybox, its init, and the frontends where the kernel has them as modules.

    With `nfs` also the modules that mount a root over NFS; their names say in which order to load them.
    """
    files = modules.closure(recipe.GUEST_MODULES) if modules else []
    nfs_files = modules.closure(recipe.NFS_MODULES) if modules and nfs else []
    entries = [
        cpio.program("init", recipe.read("guest-init")),
        cpio.program("bin/busybox", busybox),
        *(cpio.symlink(f"bin/{name}", "busybox") for name in APPLETS),
        *(
            cpio.program(f"sbin/{verb}", f"#!/bin/sh\nexec /bin/busybox {verb} -f\n".encode())
            for verb in ENDINGS
        ),
        *(cpio.folder(name) for name in ("proc", "sys", "dev", "tmp", "mnt")),
        *(cpio.program(f"modules/{path.name.split('.')[0]}.ko", module_bytes(path)) for path in files),
        *(
            cpio.program(f"modules/nfs/{index}-{_module_name(path.name)}.ko", module_bytes(path))
            for index, path in enumerate(nfs_files)
        ),
    ]
    return gzip.compress(cpio.archive(entries), 6, mtime=0)


def dom0_root(root: Path, modules: Modules, guests: dict[str, bytes]) -> None:
    """Turn unpacked packages into dom0's root file system, in place; `guests` are the files offered to guests."""
    merge_usr(root)
    for pattern in recipe.PRUNED:
        for found in glob.glob(str(root / pattern)):
            shutil.rmtree(found) if os.path.isdir(found) and not os.path.islink(found) else os.unlink(found)
    _copy_modules(root, modules)
    for name in (
        "proc",
        "sys",
        "dev",
        "run",
        "tmp",
        "root",
        "mnt",
        "var/log/xen",
        "var/lib/xenlab",
        "var/lib/xenlab-guest",
        "var/lib/nfs",
    ):
        (root / name).mkdir(parents=True, exist_ok=True)
    links = {"var/run": "/run", "var/lock": "/run/lock", "etc/mtab": "/proc/mounts", **recipe.ALTERNATIVES}
    for name, target in links.items():
        _link(root / name, target)
    # Debian's wrappers find Xen's version by a chain of scripts, a second each under emulation: go past them.
    for program in (root / "usr/lib/xen-4.17/bin").iterdir():
        _link(root / "usr/local/sbin" / program.name, f"/usr/lib/xen-4.17/bin/{program.name}")
    _link(root / "usr/local/bin/ssh", "/usr/bin/dbclient")
    _write(root / "sbin/init", recipe.read("dom0-init"), 0o755)
    for name, text in {
        "etc/passwd": PASSWD,
        "etc/group": "root:x:0:\nnogroup:x:65534:\ndisk:x:6:\ntty:x:5:\n",
        "etc/shells": "/bin/dash\n/bin/bash\n/bin/sh\n",
        "etc/hosts": "127.0.0.1 localhost xenbox\n",
        "etc/exports": "",  # exportfs fails without it
        "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\nprotocols: files\nservices: files\n",
        "etc/xen/xl.conf": XL_CONF,
        "etc/lvm/lvm.conf": LVM_CONF,
        "etc/xenlab-modules": "".join(f"{name}\n" for name in recipe.DOM0_MODULES),
        # dash runs a command twice as fast as bash; a person at a prompt gets bash.
        "root/.profile": '[ -z "$PS1" ] || exec bash\n',
        "root/.bashrc": "PS1='dom0# '\n",
    }.items():
        _write(root / name, text.encode(), 0o644)
    for name, data in guests.items():
        _write(root / "var/lib/xenlab-guest" / name, data, 0o644)


def _copy_modules(root: Path, modules: Modules) -> None:
    target = root / "usr/lib/modules" / modules.version
    for path in modules.closure(recipe.DISK_MODULES + recipe.DOM0_MODULES + recipe.SPARE_MODULES):
        copy = target / path.relative_to(modules.folder)
        _write(copy.with_name(copy.name.removesuffix(".zst")), module_bytes(path), 0o644)
    for name in ("modules.builtin", "modules.order"):
        shutil.copy(modules.folder / name, target / name)
    tool(root, "usr/bin/kmod", "-b", str(root), modules.version, name="depmod")


def _write(path: Path, data: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    path.chmod(mode)


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(target)
