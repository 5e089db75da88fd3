"""The box: a real Xen host in a QEMU process of our own, ready seconds after it is asked for."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import stat
import struct
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

import asyncssh
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from xenlab.commands import XenlabError
from xenlab.hosts.box import image as images
from xenlab.hosts.box import recipe, snapshot
from xenlab.hosts.box.qemu import BoxDied, Process, command, free_port
from xenlab.hosts.ssh import SshDom0

START_DEADLINE = 60.0


class NoSuchBox(XenlabError):
    """No running box has this name."""


class Box(SshDom0):
    """A real Xen host in QEMU on this machine, started from the image's snapshot.

    It listens on 127.0.0.1 only, with a host key and a client key made for this start alone. It ends with `close`, or
    with its owner process, however that ends.

    Args:
        name: What to call it: the host name inside, and the word for ``connect("box:NAME")`` from another process.
        owner: The process with which it lives and dies; this one unless given.
        link: One end of a pair of datagram sockets: the cable to another box, which holds the other end.
        scheduler: Have Xen boot from nothing with this scheduler (``sched=``), which takes 10 s to a minute, instead of
            going on from the snapshot, whose scheduler is credit.

    Raises:
        NoImage: No image has been built.
        QemuMissing: This machine has no QEMU.
        BoxDied: QEMU ended; the message shows the last lines of its log.

    """

    kind: ClassVar[str] = "box"
    shared: ClassVar[bool] = False

    def __init__(
        self,
        name: str | None = None,
        owner: int | None = None,
        link: socket.socket | None = None,
        scheduler: str | None = None,
    ) -> None:
        sweep()
        self._image = images.find()
        self._run = Path(tempfile.mkdtemp(prefix="box-", dir=runtime_folder()))
        self.name = name or self._run.name.removeprefix("box-")
        if name and name in {running.name for running in boxes()}:
            self._run.rmdir()
            raise ValueError(
                f"box name {name!r} must not be in use: choose another, or `xenlab box down {name}`"
            )
        self._port = free_port()
        self._process: Process | None = None
        try:
            self._start(owner or os.getpid(), link, scheduler)
        except BaseException:
            self._end()
            raise

    def _start(self, owner: int, link: socket.socket | None, scheduler: str | None) -> None:
        keys = Keys.fresh()
        cable = [link.fileno()] if link else []
        state = [] if scheduler else [self._open_state()]
        argv = command(
            self._image.folder,
            self._run,
            accelerator=self._image.accelerator,
            ssh_port=self._port,
            drives=self._image.drives(),
            link=link.fileno() if link else None,
            incoming=state[0] if state else None,
        )
        if scheduler:
            options = argv.index(recipe.XEN_COMMAND_LINE)
            argv[options] = f"{recipe.XEN_COMMAND_LINE} sched={scheduler}"  # the last one counts
        self._process = Process(argv, self._run, owner=owner, pass_fds=[*state, *cable])
        for reader in state:
            os.close(reader)
        self._wake(keys, boots=scheduler is not None)
        facts = {"name": self.name, "port": self._port, "owner": owner, "supervisor": self._process.pid}
        # Whole or not there: another process may look for boxes just now.
        (self._run / "new.json").write_text(json.dumps(facts | keys.stored()))
        (self._run / "new.json").rename(self._run / "box.json")
        self._connect_to(self._port, keys)

    def _open_state(self) -> int:
        """A pipe from which QEMU reads the snapshot as it is unpacked."""
        reader, writer = os.pipe()
        threading.Thread(target=_unpack, args=(self._image.folder / "state.zst", writer), daemon=True).start()
        return reader

    def _wake(self, keys: Keys, *, boots: bool) -> None:
        """Give the host that has slept in the snapshot the time, fresh randomness, its name and its keys."""
        assert self._process is not None
        deadline = time.monotonic() + START_DEADLINE
        with self._process.wait_for_socket(self._run / "wake", deadline) as wake:
            if boots:
                snapshot.wait_until_ready(self._process, self._run, wake, lambda step, done: None)
                deadline = time.monotonic() + START_DEADLINE
            # 40 bytes of time to spare: the clock is set when the line is read.
            lines = f"time {time.time():.0f}", f"seed {secrets.token_hex(64)}", f"name {self.name}"
            wake.sendall("\n".join([*lines, *keys.lines(), "go\n"]).encode())
            wake.settimeout(0.2)
            said = b""
            while b"up" not in said:
                self._process.check("waking")
                if time.monotonic() > deadline:
                    raise BoxDied(self._run, f"the box did not wake within {START_DEADLINE:.0f} s")
                try:
                    said += wake.recv(64)
                except TimeoutError:
                    continue

    def _connect_to(self, port: int, keys: Keys) -> None:
        known = asyncssh.import_known_hosts(f"[127.0.0.1]:{port} {keys.host.export_public_key().decode()}")
        self._connect(
            f"the box {self.name!r}",
            "127.0.0.1",
            port=port,
            username="root",
            known_hosts=known,
            client_keys=[keys.client],
            config=None,
            agent_path=None,
        )

    @property
    def run_folder(self) -> Path:
        """Where this box keeps its sockets and logs."""
        return self._run

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1 behind which its SSH server answers."""
        return self._port

    def _lost(self, error: Exception) -> XenlabError:
        if self._process is not None:
            # A QEMU that is killed closes its sockets first and has its memory to give back before it is gone.
            self._process.check("running a command", patience=10)
        return super()._lost(error)

    def close(self) -> None:
        """End the box and wait until nothing of it is left."""
        if self._run.exists():
            super().close()
        self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.end()
        shutil.rmtree(self._run, ignore_errors=True)


class AttachedBox(Box):
    """A box that another process of this user started and owns; closing only leaves it."""

    def __init__(self, name: str) -> None:
        found = find_running(name)
        self.name, self._run, self._port, self._process = found.name, found.run, found.port, None
        self._connect_to(found.port, Keys.load(found.run))

    def close(self) -> None:
        """Close the connection; the box goes on."""
        SshDom0.close(self)


@dataclass(frozen=True)
class Keys:
    """The two key pairs of one start of a box: the server's and ours."""

    host: asyncssh.SSHKey
    client: asyncssh.SSHKey

    @classmethod
    def fresh(cls) -> Keys:
        """Two new Ed25519 pairs."""
        return cls(asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519"))

    @classmethod
    def load(cls, run: Path) -> Keys:
        """The keys of a running box of ours."""
        facts = json.loads((run / "box.json").read_text())
        return cls(*(asyncssh.import_private_key(facts[name]) for name in ("host", "client")))

    def stored(self) -> dict[str, str]:
        """Both private keys, for the run folder that only this user can enter."""
        return {
            name: key.export_private_key().decode()
            for name, key in (("host", self.host), ("client", self.client))
        }

    def lines(self) -> list[str]:
        """The lines that install them in dom0."""
        dropbear = base64.b64encode(_dropbear_private(self.host)).decode()
        return [f"hostkey {dropbear}", f"client {self.client.export_public_key().decode().strip()}"]


def _dropbear_private(key: asyncssh.SSHKey) -> bytes:
    """An Ed25519 private key as dropbear keeps it: the algorithm, then 64 bytes of private and public half."""
    # asyncssh keeps its keys as pyca/cryptography objects, which give the raw 32 bytes of each half.
    pair = cast(Ed25519PrivateKey, key.pyca_key)
    name = b"ssh-ed25519"
    private, public = pair.private_bytes_raw(), pair.public_key().public_bytes_raw()
    return struct.pack(">I", len(name)) + name + struct.pack(">I", 64) + private + public


def _unpack(state: Path, writer: int) -> None:
    # If QEMU has ended, the pipe breaks; whoever waits for QEMU says so.
    with (
        state.open("rb") as packed,
        open(writer, "wb", buffering=0) as pipe,
        contextlib.suppress(BrokenPipeError),
    ):
        zstandard.ZstdDecompressor().copy_stream(packed, pipe, write_size=1 << 20)


# ---------------------------------------------------------------------------------------------------------------------
# Which boxes there are


@dataclass(frozen=True)
class Running:
    """A box that is there now, as its run folder describes it."""

    name: str
    run: Path
    port: int
    owner: int
    supervisor: int


def runtime_folder() -> Path:
    """Where boxes have their run folders: this user's alone, and short enough for a UNIX socket's path."""
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    folder = Path(base) / f"xenlab-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    if facts.st_uid != os.getuid() or stat.S_IMODE(facts.st_mode) & 0o077:
        raise XenlabError(
            f"{folder} must belong to this user alone (mode 700): remove it, or set XDG_RUNTIME_DIR to a private folder"
        )
    return folder


def boxes() -> list[Running]:
    """The boxes of this user that are running, whoever owns them."""
    found = map(_described, sorted(runtime_folder().glob("box-*")))
    return [running for running in found if running and _alive(running.supervisor)]


def _described(run: Path) -> Running | None:
    """The box of a run folder as that describes it; None before it has started and after it has ended."""
    try:
        facts = json.loads((run / "box.json").read_text())
    except FileNotFoundError:
        return None
    return Running(facts["name"], run, facts["port"], facts["owner"], facts["supervisor"])


def find_running(name: str) -> Running:
    """The running box called `name`; raises `NoSuchBox` naming those there are."""
    for running in boxes():
        if running.name == name:
            return running
    others = ", ".join(running.name for running in boxes()) or "none"
    raise NoSuchBox(
        f"no running box is called {name!r} (running: {others}): start one with `xenlab box up {name}`"
    )


def end(running: Running) -> None:
    """End a box of this user's from another process, and wait until its run folder is gone."""
    os.kill(running.supervisor, signal.SIGTERM)
    deadline = time.monotonic() + 10
    while running.run.exists() and time.monotonic() < deadline:
        time.sleep(0.02)


def sweep() -> None:
    """Remove run folders that a killed supervisor or owner has left."""
    for run in runtime_folder().glob("box-*"):
        if running := _described(run):
            stale = not _alive(running.supervisor)
        else:
            stale = _age(run) > 2 * START_DEADLINE
        if stale:
            shutil.rmtree(run, ignore_errors=True)


def _age(folder: Path) -> float:
    try:
        return time.time() - folder.stat().st_mtime
    except FileNotFoundError:  # another process has swept it
        return 0.0


def _alive(pid: int) -> bool:
    try:
        return b"supervise.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
