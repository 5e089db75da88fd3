"""QEMU as the machine under the box: its command line, its process, its end.

A supervisor, one small Python process, stands between the owner (a notebook's kernel, a test, a shell) and QEMU: when
either of them ends, however suddenly, it ends the other half and removes the run folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from xenlab.commands import XenlabError
from xenlab.hosts.box import recipe


class BoxDied(XenlabError):
    """The box's QEMU has ended when it should not have; the message holds the last lines of its logs."""

    def __init__(self, run: Path, what: str) -> None:
        lines = [line for name in ("qemu.log", "serial.log") for line in _tail(run / name)]
        super().__init__("\n".join([f"{what}; the last it said:", *lines]))


def _tail(path: Path, count: int = 12) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return []


def find_qemu() -> str:
    """The path of QEMU for x86-64; raises `QemuMissing` with the way out."""
    path = shutil.which("qemu-system-x86_64")
    if path is None:
        raise QemuMissing
    return path


class QemuMissing(XenlabError):
    """This machine has no QEMU."""

    def __init__(self) -> None:
        super().__init__(
            "the box needs QEMU: install it with `sudo apt-get install qemu-system-x86` (conda: `qemu`)"
        )


@dataclass(frozen=True)
class Drive:
    """A disk of the box: the file behind it, and whether what is written there stays."""

    path: Path
    mode: str  # "readonly", "kept" (written through), "scratch" (thrown away when QEMU ends)

    def options(self, name: str) -> list[str]:
        """QEMU's options for this disk."""
        extra = {"readonly": ",readonly=on", "kept": "", "scratch": ",snapshot=on"}[self.mode]
        drive = f"file={self.path},if=none,id={name},format=raw,discard=unmap,detect-zeroes=unmap{extra}"
        return ["-drive", drive, "-device", f"virtio-blk-pci,drive={name}"]


def command(
    image: Path,
    run: Path,
    *,
    accelerator: Sequence[str],
    ssh_port: int,
    drives: Sequence[Drive],
    link: int | None = None,
    incoming: int | None = None,
) -> list[str]:
    """QEMU's command line for a box of `image` with its sockets and logs in the folder `run`.

    Every box has a second network card. Its cable is the datagram socket `link`; without one it ends nowhere.
    Two QEMUs, the one that made a snapshot and the one that loads it, must have the same devices in the same order.
    """
    modules = f"{image}/vmlinuz {recipe.DOM0_COMMAND_LINE},{image}/initrd"
    argv = [
        find_qemu(),
        *accelerator,
        *recipe.MACHINE,
        "-kernel",
        f"{image}/xen",
        "-append",
        recipe.XEN_COMMAND_LINE,
    ]
    argv += ["-initrd", modules, "-serial", f"file:{run}/serial.log"]
    for name, drive in zip(("root", "data", "spare"), drives, strict=True):
        argv += drive.options(name)
    argv += [
        "-netdev",
        f"user,id=net,hostfwd=tcp:127.0.0.1:{ssh_port}-:22",
        "-device",
        "virtio-net-pci,netdev=net",
    ]
    argv += ["-chardev", f"socket,id=wake,path={run}/wake,server=on,wait=off", "-device", "virtio-serial-pci"]
    argv += [
        "-device",
        "virtserialport,chardev=wake,name=xenlab",
        "-qmp",
        f"unix:{run}/qmp,server=on,wait=off",
    ]
    cable = "hubport,id=link,hubid=0" if link is None else f"socket,id=link,fd={link}"
    argv += ["-netdev", cable, "-device", "virtio-net-pci,netdev=link"]
    argv += ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"]
    if incoming is not None:
        argv += ["-incoming", f"fd:{incoming}"]
    return argv


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Process:
    """A QEMU under its supervisor.

    Args:
        argv: QEMU's command line.
        run: The run folder; the supervisor removes it when QEMU has ended.
        owner: The process with which the box lives and dies.
        pass_fds: Open files QEMU inherits.

    """

    def __init__(self, argv: Sequence[str], run: Path, *, owner: int, pass_fds: Sequence[int] = ()) -> None:
        self._run = run
        script = resources.files("xenlab.hosts.box").joinpath("supervise.py")
        self._log = (run / "qemu.log").open("wb")
        self._supervisor = subprocess.Popen(
            # -I -S: no site packages, so that the supervisor is there in 20 ms and stays at 10 MB.
            [sys.executable, "-I", "-S", str(script), str(owner), str(run), *argv],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            pass_fds=pass_fds,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The supervisor's process id: ending it ends the box."""
        return self._supervisor.pid

    def check(self, doing: str, patience: float = 0) -> None:
        """Raise `BoxDied` if QEMU has ended, or ends within so many seconds."""
        try:
            self._supervisor.wait(patience)
        except subprocess.TimeoutExpired:
            return
        raise BoxDied(self._run, f"QEMU ended while {doing}")

    def wait_for_socket(self, path: Path, deadline: float) -> socket.socket:
        """Connect to a UNIX socket of QEMU's as soon as it listens."""
        while True:
            self.check(f"opening {path.name}")
            try:
                client = socket.socket(socket.AF_UNIX)
                client.connect(str(path))
            except (FileNotFoundError, ConnectionRefusedError):
                client.close()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                return client

    def end(self) -> None:
        """End QEMU and its supervisor, and wait until both are gone."""
        if self._supervisor.poll() is None:
            os.kill(self._supervisor.pid, signal.SIGTERM)
        self._supervisor.wait()
        self._log.close()
