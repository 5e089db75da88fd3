"""The sandbox a submission runs in: what it sees, what it may use, and how strong it is on this machine.

A submission sees Python, its packages and `xenlab`, all read-only; an empty /tmp of its own; its own processes.
It has no network, no environment, no rights. The labs' masters, the references, other submissions, the grader's
memory and keys are not hidden from it but absent. What holds this up, strongest first; the first that works is taken:

1. *bubblewrap*: the server that kernels are forked from lives in a `bwrap` that shows nothing else, and each kernel
   in namespaces of its own inside it;
2. *bubblewrap-each*: each kernel with its server in a `bwrap` of its own, where Linux forbids namespaces inside
   namespaces;
3. *namespaces*: each kernel in namespaces of its own, without bubblewrap;
4. *limits*: resource limits and an empty environment. It holds accidents off, not malice, and `Sandbox.words` says so.

What no sandbox here can stop:

* an answer that calls the package's own model or solver for the result instead of working it out: the package is
  there to be used;
* one who reads the public checks, which are in the student's notebook, and prints what they want to see: a hidden check
  with the instructor's seed is the answer to that;
* side channels: time, caches, how busy the machine is; two submissions on one machine can feel each other's load;
* use of the processor and of memory within the limits, which makes other submissions slower; memory is bounded for
  each process by Linux, and for all of a submission together only by looking, some times a second;
* a fault in the Linux kernel, which a submission can call as any program can: there is no filter of system calls;
* what a submission prints: it is bounded, and must be escaped wherever it is shown.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from xenlab.commands import XenlabError
from xenlab.grading.jail import Limits

_CHANNELS = ("shell", "iopub", "stdin", "control", "hb")
KINDS = ("bubblewrap", "bubblewrap-each", "namespaces", "limits")
_SYSTEM = ("/usr", "/lib", "/lib64", "/lib32", "/bin", "/sbin")
_CONFIGURATION = (
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "alternatives",
    "fonts",
    "mime.types",
)
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",
    "USER": "student",
    "LOGNAME": "student",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "MPLCONFIGDIR": "/tmp/.matplotlib",
    "IPYTHONDIR": "/tmp/.ipython",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "XENLAB_HOST": "sim",
}
_WORDS = {
    "bubblewrap": "bubblewrap, and namespaces of its own for each submission",
    "bubblewrap-each": "a bubblewrap of its own for each submission",
    "namespaces": "Linux namespaces of its own for each submission (no bubblewrap here)",
    "limits": "NO SANDBOX, only resource limits: a submission can read this user's files and use the network. "
    "Install bubblewrap, or allow user namespaces, before grading what you do not trust",
}


class NoSandbox(XenlabError, RuntimeError):
    """A kind of sandbox that does not work on this machine."""


@dataclass(frozen=True)
class Sandbox:
    """A kind of sandbox, of `KINDS`.

    >>> print(Sandbox("bubblewrap").words)
    bubblewrap, and namespaces of its own for each submission
    """

    kind: str

    @property
    def words(self) -> str:
        """What it is, for the first line of a report."""
        return _WORDS[self.kind]

    @property
    def apart(self) -> bool:
        """Whether each kernel gets namespaces of its own from the server it is forked from."""
        return self.kind in ("bubblewrap", "namespaces")

    @property
    def walled(self) -> bool:
        """Whether the server itself lives in a `bwrap`."""
        return self.kind in ("bubblewrap", "bubblewrap-each")

    @property
    def shared(self) -> bool:
        """Whether one server serves many submissions."""
        return self.kind != "bubblewrap-each"

    def command(self, folder: Path) -> list[str]:
        """Return the command line of a server whose kernels have their sockets below a folder."""
        server = [sys.executable, "-m", "xenlab.grading.forkserver"]
        return [*_bubblewrap(folder), *server] if self.walled else server

    def take(self) -> Server:
        """Return a server to fork a kernel from: this process's one, or one for this kernel alone."""
        return _shared_server(self) if self.shared else Server(self)

    def give_back(self, server: Server) -> None:
        """End a server that was for one kernel alone."""
        if not self.shared:
            server.close()


def visible() -> tuple[str, ...]:
    """Return the paths a submission may read: the system's programs, Python, its packages, and this package.

    The folder the package lies in is not among them: in a checkout, the labs' masters lie there too.
    """
    prefixes = {sys.prefix, sys.base_prefix, str(Path(sys.executable).resolve().parent.parent)}
    packages = {path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")}
    here = str(Path(__file__).parent.parent)
    wanted = {path for path in prefixes | packages if not path.startswith("/usr")} | {here}
    return tuple(sorted(path for path in wanted if os.path.isdir(path)))


def _configuration() -> tuple[str, ...]:
    return tuple(path for name in _CONFIGURATION if os.path.exists(path := f"/etc/{name}"))


def _bubblewrap(folder: Path) -> Iterator[str]:
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise NoSandbox("there is no bwrap here: install bubblewrap")
    yield from (bwrap, "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--new-session")
    yield from ("--hostname", "lab", "--clearenv")
    for name, value in _ENVIRONMENT.items():
        yield from ("--setenv", name, value)
    scratch = ("--perms", "1777", "--size", str(Limits().disk), "--tmpfs")
    yield from (
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        *scratch,
        "/tmp",
        *scratch,
        "/dev/shm",
    )
    for path in _SYSTEM:
        if os.path.islink(path):
            yield from ("--symlink", os.readlink(path), path)
        elif os.path.isdir(path):
            yield from ("--ro-bind", path, path)
    for path in (*_configuration(), *visible()):
        for parent in reversed(Path(path).parents[:-1]):
            yield from ("--dir", str(parent))  # bwrap would make it for its owner alone
        yield from ("--ro-bind", path, path)
    yield from (
        "--dir",
        "/run/kernel",
        "--bind",
        str(folder),
        "/run/kernels",
        "--remount-ro",
        "/",
        "--chdir",
        "/",
    )


class Server:
    """A program, in its sandbox, that forks kernels. It ends with this process at the latest."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.folder = Path(
            tempfile.mkdtemp(prefix="xl-")
        )  # short: the path of a UNIX socket has 107 characters
        for name in ("k", "root"):
            (self.folder / name).mkdir()
        if not (sandbox.walled or sandbox.apart):
            self.folder.chmod(
                0o711
            )  # nothing is mounted: a kernel that is another user reaches its sockets from here
        self._control, theirs = socket.socketpair()
        self._lines = self._control.makefile("rb")
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        try:
            with theirs:
                self._process = subprocess.Popen(
                    sandbox.command(self.folder / "k"),
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=_ENVIRONMENT,  # also of bwrap itself, which a kernel may see
                    cwd="/",
                )
        except (OSError, NoSandbox):
            self.close()
            raise

    def ask(self, **asked: Any) -> dict[str, Any]:
        """Ask the server, and return its answer; raises `NoSandbox` if it says no, or is gone."""
        with self._lock:
            try:
                self._control.sendall(json.dumps(asked).encode() + b"\n")
                line = self._lines.readline()
            except OSError as error:
                raise NoSandbox(f"the server of kernels is gone: {error}") from error
        if not line:
            raise NoSandbox(f"{self.sandbox.kind}: the server of kernels has ended")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise NoSandbox(f"{self.sandbox.kind}: {answer['error']}")
        return answer

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def new_folder(self) -> Path:
        """Make a folder for a kernel's sockets, in which the kernel, another user, may make files."""
        folder = Path(tempfile.mkdtemp(prefix="", dir=self.folder / "k"))
        folder.chmod(0o777)
        return folder

    def start(self, connection: dict[str, Any], limits: Limits) -> int:
        """Fork a kernel whose sockets are in a folder made by `new_folder`; return its number when it is ready."""
        name = Path(connection["ip"]).parent.name
        folder = f"/run/kernels/{name}" if self.sandbox.walled else str(self.folder / "k" / name)
        seen = "/run/kernel" if self.sandbox.apart else folder
        root = {"at": str(self.folder / "root"), "paths": [*_SYSTEM, *_configuration(), *visible()]}
        answer = self.ask(
            do="start",
            connection={**connection, "ip": f"{seen}/s"},
            folder=folder,
            limits=asdict(limits),
            apart=self.sandbox.apart,
            root=root if self.sandbox.kind == "namespaces" else None,
            shown=[path for path in visible() if path.startswith("/tmp/")],
        )
        return int(answer["pid"])

    def close(self) -> None:
        """End the server and all its kernels."""
        self._lines.close()
        self._control.close()
        if self._process is not None:
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


_servers: dict[tuple[int, str], Server] = {}


def _shared_server(sandbox: Sandbox) -> Server:
    """Return this process's server of a kind; another one if it has died."""
    key = (os.getpid(), sandbox.kind)
    if key in _servers and not _servers[key].is_alive():
        _servers.pop(key).close()
    if key not in _servers:
        _servers[key] = Server(sandbox)
    return _servers[key]


@atexit.register
def close_servers() -> None:
    """End the servers of this process; the next kernel starts another."""
    for key in [key for key in _servers if key[0] == os.getpid()]:
        _servers.pop(key).close()


@cache
def best() -> Sandbox:
    """Return the strongest kind of sandbox in which a kernel really starts here; `$XENLAB_SANDBOX` names another.

    Raises `NoSandbox` if the one named does not work, or none does.
    """
    asked = os.environ.get("XENLAB_SANDBOX")
    failures = []
    for kind in [asked] if asked else KINDS:
        try:
            return tried(kind)
        except (NoSandbox, OSError) as error:
            failures.append(str(error))
    raise NoSandbox(f"no kernel starts here in any sandbox: {'; '.join(failures)}")


def tried(kind: str) -> Sandbox:
    """Return a sandbox of that kind after a kernel has started in it; raises `NoSandbox` or `OSError`."""
    if kind not in KINDS:
        raise NoSandbox(f"{kind!r} is no sandbox: take one of {', '.join(KINDS)}")
    sandbox = Sandbox(kind)
    server = sandbox.take()
    folder = server.new_folder()
    ports = {f"{name}_port": number for number, name in enumerate(_CHANNELS, start=1)}
    try:
        pid = server.start({"transport": "ipc", "ip": f"{folder}/s", "key": "", **ports}, Limits())
        server.ask(do="end", pid=pid)
    finally:
        sandbox.give_back(server)
    return sandbox
