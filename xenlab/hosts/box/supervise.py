"""Run QEMU for an owner: when the owner ends, end QEMU and leave nothing behind.

When QEMU ends by itself, the run folder stays for the owner, who wants to read the logs in it.

Called as ``python supervise.py OWNER RUN-FOLDER QEMU ARGUMENTS…``. Standard library only, no site packages.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1


def main(owner: int, run: str, argv: list[str]) -> None:
    """Start QEMU, wait for the first end: the owner's, QEMU's, or a SIGTERM to us."""
    libc = ctypes.CDLL(None)
    inherited = [
        int(name)
        for name in os.listdir("/proc/self/fd")
        if int(name) > 2 and os.path.exists(f"/proc/self/fd/{name}")
    ]
    ours = os.getpid()

    def die_with_us() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != ours:  # we died before the request was in place
            os._exit(1)

    told_to_end, wake = os.pipe()
    signal.signal(signal.SIGTERM, lambda *_: os.write(wake, b"."))
    try:
        owner_end = os.pidfd_open(owner)
        qemu = subprocess.Popen(argv, pass_fds=inherited, preexec_fn=die_with_us)
        with open(os.path.join(run, "qemu.pid"), "w") as file:
            file.write(str(qemu.pid))
        for fd in inherited:
            os.close(fd)
        ended, _, _ = select.select([owner_end, os.pidfd_open(qemu.pid), told_to_end], [], [])
        qemu.kill()
        qemu.wait()
    except BaseException:
        shutil.rmtree(run, ignore_errors=True)
        raise
    if owner_end in ended or told_to_end in ended:
        shutil.rmtree(run, ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
