"""The program that kernels are forked from. It has imported what notebooks import, so that a kernel starts at once.

`xenlab.grading.sandbox` starts it, inside the outer wall if there is one, and talks with it over a UNIX socket in lines
of JSON: one asked, one answered. It ends when its grader does. Of a submission it knows nothing: it sees no
message to or from a kernel, only how it ends and how much memory it has.

A kernel that lives apart is three processes. The *keeper* is the server's child: it enters new namespaces and waits.
The *init* is the first process in them: it mounts what the kernel may see, and reaps. The *kernel* gives up all
rights and runs cells. A kernel that does not live apart is the server's child, with limits alone.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xenlab.grading import jail
from xenlab.grading.jail import Limits

PRELOADED = (
    "ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.zmqshell", "matplotlib_inline.backend_inline",
    "ipykernel.debugger", "IPython.core.completerlib", "IPython.core.logger", "IPython.extensions.storemagic",
    "tornado.platform.asyncio", "stack_data", "pygments.formatters", "pygments.lexers.python",
    "numpy", "pandas", "matplotlib.pyplot", "simpy", "ipywidgets", "xenlab.hosts.connect", "xenlab.hosts.sim",
    "xenlab.grading.evidence", "xenlab.grading.jail", "xenlab.grading.seeds", "xenlab.grading.view",
)  # fmt: skip
SOCKETS = "/run/kernel"  # where a kernel that lives apart binds its sockets
_APART = jail.NEWNS | jail.NEWPID | jail.NEWIPC | jail.NEWNET | jail.NEWUTS
_CHANNELS = 5
_WEIGH = 0.25  # seconds between two looks at a kernel's memory


@dataclass(frozen=True)
class Order:
    """One kernel that is asked for: its connection, the folder of its sockets as the server sees it, its limits.

    `root` is what it may see and where to build that, if the server does not live where there is nothing else;
    `shown` is what of that lies in /tmp.
    """

    connection: dict[str, Any]
    folder: str
    limits: Limits
    apart: bool
    root: dict[str, Any] | None
    shown: tuple[str, ...]

    def is_bound(self) -> bool:
        """Whether the kernel has bound its sockets."""
        return len(os.listdir(os.path.dirname(self.connection["ip"]))) >= _CHANNELS


@dataclass
class Kernel:
    """A kernel that runs: its limit of memory, and what the server ended it for."""

    memory: int
    weighed: float = 0
    status: int | None = None
    why: str = ""


class Server:
    """Forks kernels, and tells how they are."""

    def __init__(self) -> None:
        self._kernels: dict[int, Kernel] = {}
        self._own = _memory(os.getpid())

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Do what a line asks for."""
        match asked.pop("do"):
            case "start":
                return self._start(Order(**{**asked, "limits": Limits(**asked["limits"])}))
            case "poll":
                return self._poll(asked["pid"])
            case "end":
                return self._end(asked["pid"])
            case other:
                raise ValueError(f"nothing to do for {other!r}")

    def end_all(self) -> None:
        """End every kernel, with all it started."""
        for pid in self._kernels:
            self._end(pid)

    def _start(self, order: Order) -> dict[str, Any]:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            _never_return(
                lambda: _keeper(order, writing) if order.apart else _kernel(order, writing), writing
            )
        os.close(writing)
        self._kernels[pid] = Kernel(order.limits.memory)
        with os.fdopen(reading) as pipe:
            said = pipe.readline().strip()
        if said == "" and not order.apart:
            said = self._bound(pid, order)
        if said != "ready":
            self._end(pid)
            return {"error": said or "the kernel ended before it was ready"}
        return {"pid": pid}

    def _bound(self, pid: int, order: Order) -> str:
        """Wait for the sockets of a kernel that has no init to do so."""
        while not order.is_bound():
            if self._poll(pid)["status"] is not None:
                return ""
            time.sleep(0.005)
        return "ready"

    def _poll(self, pid: int) -> dict[str, Any]:
        self._reap()
        kernel = self._kernels[pid]
        if kernel.status is None and time.monotonic() > kernel.weighed + _WEIGH:
            kernel.weighed = time.monotonic()
            if self._weigh(pid) > kernel.memory:
                kernel.why = f"it used more than {kernel.memory >> 20} MiB of memory"
                self._end(pid)
        return {"status": kernel.status, "why": kernel.why}

    def _reap(self) -> None:
        for pid, kernel in self._kernels.items():
            if kernel.status is None:
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    kernel.status = os.waitstatus_to_exitcode(status)

    def _end(self, pid: int) -> dict[str, Any]:
        """End a kernel and all it started, whether it still is its parent or not."""
        self._reap()
        started, strays = self._started(pid)
        for process in (*started, *strays):
            _kill(process)
        if self._kernels[pid].status is None:
            _kill(pid)
            self._kernels[pid].status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        for process in strays:
            os.waitpid(process, 0)
        return {}

    def _weigh(self, pid: int) -> int:
        """Return how much memory a kernel and all it started have, beyond what they have from the server."""
        started, strays = self._started(pid)
        return sum(max(0, _memory(process) - self._own) for process in (pid, *started, *strays))

    def _started(self, pid: int) -> tuple[list[int], list[int]]:
        """Return the processes below a kernel, and those that lost their parent and fell to the server."""
        children: dict[int, list[int]] = {}
        for process, parent in _processes():
            children.setdefault(parent, []).append(process)
        strays = [process for process in children.get(os.getpid(), []) if process not in self._kernels]
        return list(_below(pid, children)), strays


def preload(modules: Iterable[str]) -> None:
    """Import modules; a kernel can do without those that cannot be imported here."""
    for name in modules:
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def _processes() -> Iterable[tuple[int, int]]:
    """Go through the processes that are seen here, each with its parent."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                stat = Path(f"/proc/{name}/stat").read_text()
            except OSError:
                continue
            yield int(name), int(stat.rpartition(")")[2].split()[1])


def _below(pid: int, children: dict[int, list[int]]) -> Iterable[int]:
    for child in children.get(pid, []):
        yield child
        yield from _below(child, children)


def _memory(pid: int) -> int:
    """Return the bytes a process has that are no file's."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return sum(
        1024 * int(line.split()[1])
        for line in status.splitlines()
        if line.startswith(("RssAnon", "RssShmem"))
    )


def _threads_of(user: int) -> int:
    """Count the threads of a user that are seen here: where users are not set apart, they count together."""
    count = 0
    for pid, _ in _processes():
        with contextlib.suppress(OSError):
            count += len(os.listdir(f"/proc/{pid}/task")) if os.stat(f"/proc/{pid}").st_uid == user else 0
    return count


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _never_return(action: Callable[[], None], writing: int) -> None:
    """Do what a forked process is there for; it never comes back into the server's loop."""
    try:
        action()
    except BaseException as error:
        os.write(writing, f"{type(error).__name__}: {error}".replace("\n", " ").encode() + b"\n")
    finally:
        os._exit(70)


def _keeper(order: Order, writing: int) -> None:
    jail.close_all_but([writing])
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        jail.unshare(_APART)
    else:
        jail.unshare(_APART | jail.NEWUSER)
        jail.map_users(user, group)
    jail.end_with_parent(signal.SIGKILL)  # now: a change of users forgets it
    pid = os.fork()
    if pid == 0:
        _never_return(lambda: _init(order, writing), writing)
    os.close(writing)
    _end_as(os.waitpid(pid, 0)[1])


def _init(order: Order, writing: int) -> None:
    jail.end_with_parent(signal.SIGKILL)
    _furnish(order)
    pid = os.fork()
    if pid == 0:
        _never_return(lambda: _kernel(order, writing), writing)
    while not order.is_bound():
        if (ended := os.waitpid(pid, os.WNOHANG))[0]:
            _end_as(ended[1])
        time.sleep(0.005)
    jail.mount("", SOCKETS, flags=jail.BIND | jail.REMOUNT | jail.RDONLY | jail.NOSUID | jail.NODEV)
    os.write(writing, b"ready\n")
    os.close(writing)
    while (ended := os.waitpid(-1, 0))[0] != pid:
        pass
    _end_as(ended[1])


def _furnish(order: Order) -> None:
    """Mount what a kernel that lives apart has of its own: its sockets, an empty /tmp, a /proc of its own processes."""
    jail.mount("none", "/", flags=jail.REC | jail.PRIVATE)
    if order.root is not None:
        jail.build_root(order.root["at"], order.root["paths"], {order.folder: SOCKETS})
    else:
        jail.mount(order.folder, SOCKETS, flags=jail.BIND)
        jail.mount("proc", "/proc", "proc", jail.NOSUID | jail.NODEV | jail.NOEXEC)
        jail.scratch("/run/kernels", 4096)
    jail.scratch("/tmp", order.limits.disk, order.shown)
    jail.scratch("/dev/shm", order.limits.disk)


def _kernel(order: Order, writing: int) -> None:
    jail.close_all_but([writing])
    was_root = jail.become(jail.NOBODY)
    if order.apart:
        if was_root:
            jail.own_users()
        jail.no_more_users()
    jail.limit(order.limits, 0 if order.apart else _threads_of(os.getuid()))
    jail.renounce()
    jail.end_with_parent(signal.SIGKILL)
    _run_cells(order.connection, writing)


def _run_cells(connection: dict[str, Any], writing: int) -> None:
    from ipykernel.kernelapp import IPKernelApp

    home = tempfile.mkdtemp()
    os.environ.update(HOME=home, IPYTHONDIR=f"{home}/.ipython", MPLCONFIGDIR=f"{home}/.matplotlib")
    os.chdir(home)
    file = Path(home, ".kernel.json")
    file.write_text(json.dumps(connection))
    os.close(writing)
    IPKernelApp.launch_instance(argv=["-f", str(file), "--HistoryManager.enabled=False"])
    os._exit(0)


def _end_as(status: int) -> None:
    """End as a child did: with its exit status, or 128 + the signal it died of."""
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def main() -> None:
    """Serve the grader at the other end of standard input until it is gone."""
    control = socket.socket(fileno=os.dup(0))
    jail.close_all_but([control.fileno()])
    jail.adopt_orphans()
    preload(PRELOADED)
    server = Server()
    for line in control.makefile("rb"):
        control.sendall(json.dumps(server.answer(json.loads(line))).encode() + b"\n")
    server.end_all()


if __name__ == "__main__":
    main()
