"""The first boot: Xen started from nothing, and its state kept for every later start."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zstandard
from qemu.qmp import QMPClient

from xenlab.hosts.box import recipe
from xenlab.hosts.box.qemu import BoxDied, Drive, Process, command, free_port

#: A whole boot takes 20 to 60 s under emulation on a 2-core machine; a busy one may need several times that.
BOOT_DEADLINE = 400.0
#: Where KVM really works, Xen's first words come within a second.
KVM_TRIAL_DEADLINE = 20.0


def take(image: Path, progress: Callable[[str, float], None]) -> dict[str, Any]:
    """Boot the image's files and write the snapshot of the ready host to ``state.zst``; return facts for image.json."""
    accelerator = recipe.KVM if _kvm_works(image) else recipe.TCG
    with tempfile.TemporaryDirectory(prefix="xenlab-first-") as run_name:
        run = Path(run_name)
        drives = [
            Drive(image / "dom0.squashfs", "readonly"),
            Drive(image / "data.img", "kept"),
            Drive(image / "spare.img", "kept"),
        ]
        process = Process(
            command(image, run, accelerator=accelerator, ssh_port=free_port(), drives=drives),
            run,
            owner=os.getpid(),
        )
        try:
            started = time.monotonic()
            # Held open until the state is kept: dom0 must find the other end there when it wakes.
            with process.wait_for_socket(run / "wake", started + BOOT_DEADLINE) as wake:
                wait_until_ready(process, run, wake, progress)
                boot_seconds = time.monotonic() - started
                progress("keeping its state", 0.9)
                _save(run, image / "state.zst")
        finally:
            process.end()
    return {"accelerator": list(accelerator), "boot_seconds": round(boot_seconds, 1)}


def _kvm_works(image: Path) -> bool:
    """Does Xen speak within a deadline under KVM? That /dev/kvm opens proves nothing."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    with tempfile.TemporaryDirectory(prefix="xenlab-trial-") as run_name:
        run = Path(run_name)
        drives = [
            Drive(image / name, "readonly" if name == "dom0.squashfs" else "scratch")
            for name in ("dom0.squashfs", "data.img", "spare.img")
        ]
        process = Process(
            command(image, run, accelerator=recipe.KVM, ssh_port=free_port(), drives=drives),
            run,
            owner=os.getpid(),
        )
        try:
            deadline = time.monotonic() + KVM_TRIAL_DEADLINE
            while time.monotonic() < deadline:
                process.check("trying KVM")
                if "Xen is relinquishing VGA console" in _said(run) or "Dom0 has maximum" in _said(run):
                    return True
                time.sleep(0.2)
        except BoxDied:
            pass
        finally:
            process.end()
    return False


def _said(run: Path) -> str:
    log = run / "serial.log"
    return log.read_text(errors="replace") if log.exists() else ""


def wait_until_ready(
    process: Process, run: Path, wake: socket.socket, progress: Callable[[str, float], None]
) -> None:
    """Wait until a dom0 that boots from nothing says that it is ready to be woken; raises `BoxDied` if it does not."""
    deadline = time.monotonic() + BOOT_DEADLINE
    wake.settimeout(0.5)
    milestones = [("Xen version", 0.55), ("about to get started", 0.65), ("Done setting up Dom0", 0.8)]
    while time.monotonic() < deadline:
        process.check("starting Xen")
        said = _said(run)
        if "\nxenlab: " in said:
            raise BoxDied(run, "dom0 could not be set up")
        while milestones and milestones[0][0] in said:
            progress("starting Xen for the first time", milestones.pop(0)[1])
        try:
            if b"ready" in wake.recv(64):
                return
        except TimeoutError:
            continue
    raise BoxDied(run, f"Xen was not ready after {BOOT_DEADLINE:.0f} s")


def _save(run: Path, target: Path) -> None:
    """Have QEMU write its state to a socket of ours, and pack it as it comes."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(run / "state"))
        server.listen(1)
        receiver = threading.Thread(target=_receive, args=(server, target))
        receiver.start()
        asyncio.run(_migrate(run))
        receiver.join()


def _receive(server: socket.socket, target: Path) -> None:
    stream, _ = server.accept()
    with stream, stream.makefile("rb") as source, target.open("wb") as packed:
        zstandard.ZstdCompressor(level=3, threads=2).copy_stream(source, packed)


async def _migrate(run: Path) -> None:
    client = QMPClient("xenlab")
    await client.connect(str(run / "qmp"))
    try:
        await client.execute("migrate-set-parameters", {"max-bandwidth": 4 << 30, "downtime-limit": 2000})
        await client.execute("migrate", {"uri": f"unix:{run}/state"})
        while True:
            status: Any = await client.execute("query-migrate")
            if status.get("status") == "completed":
                return
            if status.get("status") == "failed":
                raise BoxDied(run, f"the snapshot failed: {status.get('error-desc', 'no reason given')}")
            await asyncio.sleep(0.1)
    finally:
        await client.disconnect()
