"""The few system calls that Python does not have: namespaces, mounts, and a new root."""

from __future__ import annotations

import ctypes
import os
import platform

NEWNS, NEWUTS, NEWUSER, NEWPID, NEWNET = (
    0x20000,
    0x4000000,
    0x10000000,
    0x20000000,
    0x40000000,
)  # linux/sched.h
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 0x1, 0x20, 0x1000, 0x4000, 0x40000  # linux/mount.h
MNT_DETACH = 2
PR_SET_DUMPABLE, PR_SET_PDEATHSIG = 4, 1
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}  # asm/unistd.h

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leave some of the namespaces that this process shares with its parent: unshare(2)."""
    _checked(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str | None, flags: int = 0, data: str | None = None) -> None:
    """Attach a file system: mount(2)."""
    words = [word.encode() if word is not None else None for word in (source, target, kind)]
    _checked(
        _libc.mount(*words, ctypes.c_ulong(flags), data.encode() if data else None),
        f"mount {source} on {target}",
    )


def unmount(target: str) -> None:
    """Detach a file system, at once or as soon as nobody uses it: umount2(2)."""
    _checked(_libc.umount2(target.encode(), MNT_DETACH), f"umount {target}")


def pivot_root(new: str, old: str) -> None:
    """Make `new` the root and put the old one below it, at `old`: pivot_root(2)."""
    _checked(_libc.syscall(_PIVOT_ROOT[platform.machine()], new.encode(), old.encode()), "pivot_root")


def process_control(option: int, value: int) -> None:
    """Set something about this process: prctl(2)."""
    _checked(_libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0), "prctl")
