"""Shut a process in: Linux's system calls for it, by ctypes, because Python has `os.unshare` only since 3.12.

Each function changes the calling process alone, which must have one thread: the one that was just forked.
"""

from __future__ import annotations

import ctypes
import os
import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = (
    0x00020000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000,
)  # fmt: skip
RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
_DETACH = 2
_SET_PDEATHSIG, _CAPBSET_DROP, _SET_NO_NEW_PRIVS, _SET_DUMPABLE, _SET_CHILD_SUBREAPER = 1, 24, 38, 4, 36
_PIVOT_ROOT = {"x86_64": 155}.get(os.uname().machine, 41)  # 41 on every architecture since aarch64
_CAPABILITIES_V3 = 0x20080522
_DEVICES = ("null", "zero", "full", "random", "urandom")
NOBODY = 61000  # no account's number on Debian, Fedora or systemd; without files and without rights

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Limits:
    """What one submission may use. Times in seconds, sizes in bytes.

    `cell` is the time of one cell, `wall` that of the whole notebook, `cpu` of each of its processes; `memory`
    bounds each process's address space and all of them together; `output` is what one cell may print.
    """

    cell: float = 20
    wall: float = 120
    cpu: int = 60
    memory: int = 2 << 30
    processes: int = 64
    file: int = 64 << 20
    disk: int = 256 << 20
    output: int = 1 << 20


def _checked(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leave the namespaces that are shared with the parent, for new ones; raises `OSError` where that is forbidden."""
    _checked(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mount, as mount(2); raises `OSError`."""
    arguments = (
        source.encode(),
        target.encode(),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        options.encode(),
    )
    _checked(_libc.mount(*arguments), f"mount {target}")


def bind_readonly(source: str, target: str) -> None:
    """Show a file or folder at another place, read-only, with what is mounted below it."""
    mount(source, target, flags=BIND | REC)
    kept = os.statvfs(target).f_flag & (NOSUID | NODEV | NOEXEC)
    mount("", target, flags=BIND | REMOUNT | RDONLY | kept)


def scratch(target: str, size: int, shown: Sequence[str] = ()) -> None:
    """Mount an empty file system in memory, of at most `size` bytes and 10,000 files.

    `shown` are folders below the target that stay to be seen, read-only.
    """
    kept = [(path, os.open(path, os.O_PATH)) for path in shown]
    mount("tmpfs", target, "tmpfs", NOSUID | NODEV, f"size={size},nr_inodes=10000,mode=1777")
    for path, number in kept:
        os.makedirs(path, exist_ok=True)
        bind_readonly(f"/proc/self/fd/{number}", path)
        os.close(number)


def build_root(at: str, paths: Sequence[str], binds: Mapping[str, str]) -> None:
    """Make a root that shows these paths, read-only, some devices and an own /proc, and move into it.

    `at` is an empty folder; `binds` are folders that are shown elsewhere and can be written. Of all that was there
    before nothing is left.
    """
    mount("tmpfs", at, "tmpfs", NOSUID | NODEV, "size=1m,mode=755")
    for path in paths:
        if os.path.islink(path):
            os.symlink(os.readlink(path), at + path)
        elif os.path.exists(path):
            _stand_for(path, at + path)
            bind_readonly(path, at + path)
    for name in _DEVICES:
        _stand_for(f"/dev/{name}", f"{at}/dev/{name}")
        mount(f"/dev/{name}", f"{at}/dev/{name}", flags=BIND)
    for name in ("dev/shm", "proc", "tmp"):
        os.makedirs(f"{at}/{name}", exist_ok=True)
    for source, target in binds.items():
        os.makedirs(at + target)
        mount(source, at + target, flags=BIND)
    mount("proc", f"{at}/proc", "proc", NOSUID | NODEV | NOEXEC)
    _change_root(at)
    mount("", "/", flags=BIND | REMOUNT | RDONLY | NOSUID | NODEV)


def _stand_for(path: str, target: str) -> None:
    """Make an empty folder or file for something to be mounted on."""
    if os.path.isdir(path):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        open(target, "a").close()


def _change_root(folder: str) -> None:
    os.chdir(folder)
    _checked(_libc.syscall(_PIVOT_ROOT, b".", b"."), "pivot_root")
    _checked(_libc.umount2(b".", _DETACH), "umount")
    os.chdir("/")


def own_users() -> None:
    """Enter a user namespace of one's own, in which one's user and group keep their numbers."""
    user, group = os.geteuid(), os.getegid()
    unshare(NEWUSER)
    map_users(user, group)


def map_users(user: int, group: int) -> None:
    """Give the user namespace just entered its one user and its one group."""
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def no_more_users() -> None:
    """Forbid further user namespaces inside this one; it needs a writable /proc of one's own."""
    with open("/proc/sys/user/max_user_namespaces", "w") as file:
        file.write("0")


def become(user: int) -> bool:
    """Give up root for a user without rights. Returns False where there was no root to give up."""
    if os.geteuid() != 0:
        return False
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    _checked(_libc.prctl(_SET_DUMPABLE, 1, 0, 0, 0), "dumpable")  # or its own /proc/self is closed to it
    return True


def renounce() -> None:
    """Give up all capabilities, and whatever a program with a set-uid bit or file capabilities would give."""
    for capability in range(64):
        _libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_V3, 0)
    _checked(_libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")
    _checked(_libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def adopt_orphans() -> None:
    """Become the parent of every process below this one that loses its own."""
    _checked(_libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "child_subreaper")


def end_with_parent(signal: int) -> None:
    """Have this signal sent to the calling process when its parent ends."""
    _checked(_libc.prctl(_SET_PDEATHSIG, signal, 0, 0, 0), "pdeathsig")


def limit(limits: Limits, others: int = 0) -> None:
    """Set the limits that Linux keeps for each process; `others` are the same user's processes that count with it."""
    _set(resource.RLIMIT_CPU, limits.cpu)
    _set(resource.RLIMIT_AS, limits.memory)
    _set(resource.RLIMIT_NPROC, limits.processes + others)
    _set(resource.RLIMIT_FSIZE, limits.file)
    _set(resource.RLIMIT_CORE, 0)
    _set(resource.RLIMIT_NOFILE, 512)
    _set(resource.RLIMIT_MSGQUEUE, 0)


def _set(what: int, value: int) -> None:
    hard = resource.getrlimit(what)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(what, (value, value))


def close_all_but(kept: Sequence[int]) -> None:
    """Close every open file but these; standard input, output and error go nowhere."""
    null = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    last = 2
    for number in (*sorted(kept), resource.getrlimit(resource.RLIMIT_NOFILE)[0]):
        os.closerange(last + 1, number)
        last = number
