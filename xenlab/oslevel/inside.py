"""The process that becomes a container: `python -m xenlab.oslevel.inside FOLDER STEPS CPU-FILES [PROGRAM …]`.

It goes through the steps, each for itself, and writes a line of JSON after each: what it sees now, or what the kernel
refused. It begins as a user without rights, even if root started it. In the end it runs the program.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from xenlab.oslevel import kernel
from xenlab.oslevel.steps import CPU_SHARE, HOSTNAME, View

NOBODY = 65534
PERIOD = 100_000  # µs; the kernel's own default (Documentation/scheduler/sched-bwc.rst)


def look(cpu: float) -> View:
    """What this process sees now; `cpu` is the share of a processor that it got when that was measured."""
    return View(
        uid=os.getuid(),
        hostname=socket.gethostname(),
        interfaces=tuple(sorted(name for _, name in socket.if_nameindex())),
        pid=os.getpid(),
        processes=sum(name.isdigit() for name in os.listdir("/proc")),
        files=tuple(sorted(os.listdir("/"))),
        cpu=cpu,
    )


def cpu_share(seconds: float = 0.5) -> float:
    """The share of one processor that this process gets while it tries to use a whole one."""
    wall, own = time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < seconds:
        pass
    return (time.process_time() - own) / (time.perf_counter() - wall)


def user() -> None:
    """Become root of a user namespace; its root is this process's user outside."""
    uid, gid = os.getuid(), os.getgid()
    kernel.unshare(kernel.NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")  # user_namespaces(7): before gid_map may be written
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def uts() -> None:
    """Give the machine another name."""
    kernel.unshare(kernel.NEWUTS)
    socket.sethostname(HOSTNAME)


def net() -> None:
    """Leave the network."""
    kernel.unshare(kernel.NEWNET)


def pid() -> None:
    """Start counting anew: the next child is number 1, and this process waits for it."""
    kernel.unshare(kernel.NEWPID)
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    kernel.process_control(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)


def files(folder: str) -> None:
    """Move to a root of its own: a file system in memory, with the host's programs in it, to be read only."""
    kernel.unshare(kernel.NEWNS)
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("tmpfs", folder, "tmpfs", data="size=4m")
    root = Path(folder)
    for name in ("usr", "proc", "tmp", "old"):
        (root / name).mkdir()
    for name in ("bin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    kernel.mount("/usr", f"{folder}/usr", None, kernel.MS_BIND | kernel.MS_REC)
    held = os.statvfs(f"{folder}/usr").f_flag & 0xF  # nosuid, nodev, noexec must stay as they are
    kernel.mount("none", f"{folder}/usr", None, kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY | held)
    kernel.mount("proc", f"{folder}/proc", "proc")
    kernel.pivot_root(folder, f"{folder}/old")
    os.chdir("/")
    kernel.unmount("/old")
    os.rmdir("/old")


def limit(files: Sequence[tuple[str, int]]) -> None:
    """Join the control group whose files were opened before all else, and limit it (version 1 or 2 of cgroups)."""
    if not files:
        raise PermissionError(1, "no control group could be made: Operation not permitted")
    (quota, at), (_, members) = files
    text = f"{CPU_SHARE * PERIOD:.0f}" + (f" {PERIOD}" if quota.endswith("cpu.max") else "")
    os.write(at, text.encode())
    os.write(members, b"0")  # this process itself


def main(folder: str, steps: str, group: str, *program: str) -> None:
    """Go through the steps, and run the program."""
    opened = [(path, os.open(path, os.O_WRONLY)) for path in group.split(",") if path]
    if os.getuid() == 0:
        _become_nobody()
    does: dict[str, Callable[[], None]] = {
        "user": user,
        "uts": uts,
        "net": net,
        "pid": pid,
        "mount": lambda: files(folder),
        "cgroup": lambda: limit(opened),
    }
    share = cpu_share()
    _tell({"step": "start", "view": asdict(look(share))})
    for step in filter(None, steps.split(",")):
        try:
            does[step]()
            share = cpu_share() if step == "cgroup" else share
            _tell({"step": step, "view": asdict(look(share))})
        except OSError as error:
            _tell({"step": step, "refused": str(error)})
    if program:
        sys.stdout.flush()
        os.execvp(program[0], program)


def _become_nobody() -> None:
    # In a user namespace there may be nobody to become; then this process is no real root either.
    with contextlib.suppress(OSError):
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        kernel.process_control(kernel.PR_SET_DUMPABLE, 1)  # or /proc/self would belong to root


def _tell(fact: dict[str, object]) -> None:
    print(json.dumps(fact), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
