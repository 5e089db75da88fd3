"""A kernel that is watched while it runs a cell: its death is noticed at once, its time and its output are bounded.

`WatchedKernel` has the methods that nbval calls on its own `nbval.kernel.RunningKernel`, so nbval runs cells on it.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NoReturn

import zmq

from xenlab.grading.jail import Limits
from xenlab.grading.kernels import ForkedKernelManager
from xenlab.grading.results import State
from xenlab.grading.sandbox import Sandbox

_LOOK = 0.1  # seconds between two looks at whether a kernel lives
_GRACE = 1.5  # seconds a cell has to obey an interrupt
_DYING = 0.5  # seconds between a lost connection and the death it comes of
_START = 30.0  # seconds a kernel has to answer for the first time


class Ended(Exception):
    """A cell that did not come to its end, and how: a crash, a timeout, too much output."""

    def __init__(self, state: State, message: str) -> None:
        super().__init__(message)
        self.state = state


class WatchedKernel:
    """A kernel in a sandbox, ready to run cells."""

    def __init__(self, sandbox: Sandbox, limits: Limits) -> None:
        self._limits = limits
        self._read = 0
        self._queues: dict[str, deque[Any]] = {"iopub": deque(), "shell": deque()}
        self._context = _bounded_context(limits.output)
        self._manager = ForkedKernelManager(sandbox, limits, self._context)
        try:
            self._manager.start_kernel()
            self._client = self._manager.client(context=self._context)
            self._client.start_channels(hb=False)
            self._channels = {"iopub": self._client.iopub_channel, "shell": self._client.shell_channel}
            self._lost = [
                c.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED) for c in self._channels.values()
            ]
            self._greet()
        except BaseException:
            self.stop()
            raise

    def execute_cell_input(self, source: str, allow_stdin: bool | None = None) -> str:
        """Send a cell to be run; what it prints is counted from here."""
        self._read = 0
        self._take_all()
        self._queues["iopub"].clear()
        options = {"store_history": False, "allow_stdin": False, "stop_on_error": False}
        return self._sent(lambda: self._client.execute(source, **options))

    def await_reply(self, msg_id: str, timeout: float | None = None) -> None:
        """Wait until a cell has been run, reading what it prints; raises `Ended` if it does not come to its end."""
        seconds = self._limits.cell if timeout is None else timeout
        deadline = time.monotonic() + seconds
        while not self._replied(msg_id):
            if not self._pump(deadline):
                self._interrupt(msg_id)
                raise Ended(State.TIMEOUT, f"it ran longer than {seconds:.3g} seconds")

    def get_message(self, stream: str, timeout: float | None = None) -> Any:
        """Return a channel's next message; raises `Ended` if there is none: it was too long to be let in."""
        deadline = time.monotonic() + (timeout or 0)
        while not self._queues[stream]:
            if not self._pump(deadline):
                self._flooded()
        return self._queues[stream].popleft()

    def await_idle(self, msg_id: str, timeout: float) -> None:
        """Read what a cell printed to its end."""
        while not _says_idle(self.get_message("iopub", timeout), msg_id):
            pass

    def rerun(self, source: str) -> None:
        """Run a cell again, for what it leaves behind; raises `Ended`."""
        self.await_reply(self.execute_cell_input(source))
        self.ping()

    def ping(self) -> None:
        """See that the kernel still answers; raises `Ended`. One that was told to stop lives a little longer."""
        self.await_reply(self._sent(self._client.kernel_info))

    def is_alive(self) -> bool:
        """Whether there is a kernel to talk to."""
        return bool(self._manager.has_kernel and self._manager.is_alive())

    def interrupt(self) -> None:
        """Ask the kernel to stop what it does."""
        with contextlib.suppress(zmq.ZMQError):
            self._manager.interrupt_kernel()

    def stop(self) -> None:
        """End the kernel, with all it started."""
        if hasattr(self, "_client"):
            self._client.stop_channels()
        self._manager.close()
        self._context.destroy(linger=0)

    def _greet(self) -> None:
        """Wait until the kernel answers, and what it prints is heard."""
        deadline = time.monotonic() + _START
        while time.monotonic() < deadline:
            msg_id = self._sent(self._client.kernel_info)
            self.await_reply(msg_id, _START)
            if self._queues["iopub"] or self._pump(time.monotonic() + 0.1):
                return self.await_idle(msg_id, 2)
        raise Ended(State.CRASH, "the kernel does not answer")

    def _sent(self, send: Callable[[], str]) -> str:
        try:
            return send()
        except zmq.ZMQError:
            self._died()

    def _replied(self, msg_id: str) -> bool:
        while self._queues["shell"]:
            if self._queues["shell"].popleft()["parent_header"].get("msg_id") == msg_id:
                return True
        return False

    def _interrupt(self, msg_id: str) -> None:
        """Interrupt a cell; end the kernel if that is not obeyed."""
        self.interrupt()
        deadline = time.monotonic() + _GRACE
        while not self._replied(msg_id):
            if not self._pump(deadline):
                self.stop()
                return

    def _pump(self, deadline: float) -> bool:
        """Take in what has come; False when the deadline passes first. Raises `Ended` for a death or a flood."""
        poller = zmq.Poller()
        for socket in (*(channel.socket for channel in self._channels.values()), *self._lost):
            poller.register(socket, zmq.POLLIN)
        while True:
            left = deadline - time.monotonic()
            heard = dict(poller.poll(int(1000 * max(0.0, min(_LOOK, left)))))
            if any(channel.socket in heard for channel in self._channels.values()):
                self._take_all()
                return True
            if not self._lives(_DYING if heard else 0):
                self._died()
            if heard:
                self._flooded()  # it lives, and a connection is lost: what came was too long
            if left <= 0:
                return False

    def _lives(self, patience: float) -> bool:
        """Whether the kernel lives, and still does that many seconds later."""
        until = time.monotonic() + patience
        while alive := self.is_alive():
            if time.monotonic() >= until:
                break
            time.sleep(0.02)
        return alive

    def _take_all(self) -> None:
        for name, channel in self._channels.items():
            while channel.socket.poll(0):
                parts = channel.socket.recv_multipart(zmq.NOBLOCK)
                self._count(sum(map(len, parts)))
                try:
                    _, parts = channel.session.feed_identities(parts)
                    self._queues[name].append(_well_formed(channel.session.deserialize(parts)))
                except (ValueError, TypeError, KeyError, RecursionError):
                    continue  # what is no message of Jupyter's is not listened to

    def _count(self, size: int) -> None:
        self._read += size
        if self._read > self._limits.output:
            self._flooded()

    def _died(self) -> NoReturn:
        why = self._manager.why
        self.stop()
        raise Ended(State.CRASH, why or "the kernel died")

    def _flooded(self) -> NoReturn:
        self.stop()
        raise Ended(State.OUTPUT_LIMIT, f"it printed more than {self._limits.output >> 10} KiB")


def _bounded_context(longest: int) -> zmq.Context[Any]:
    """Make sockets that hang up on a message of more bytes than that, and stay hung up."""
    context: zmq.Context[Any] = zmq.Context()
    context.setsockopt(zmq.MAXMSGSIZE, longest)
    context.setsockopt(zmq.RECONNECT_IVL, -1)
    context.setsockopt(zmq.LINGER, 0)
    context.setsockopt(zmq.SNDTIMEO, 1000)
    return context


def _well_formed(message: Any) -> Any:
    """Raise for a message that lacks what nbval reads of it."""
    content = message["content"]
    message["parent_header"].get("msg_id")
    match message["msg_type"]:
        case "stream":
            wanted = isinstance(content["name"], str) and isinstance(content["text"], str)
        case "display_data" | "execute_result":
            wanted = isinstance(content["data"], dict) and isinstance(content["metadata"], dict)
        case "error":
            wanted = all(
                isinstance(line, str) for line in (content["ename"], content["evalue"], *content["traceback"])
            )
        case "status":
            wanted = isinstance(content["execution_state"], str)
        case _:
            wanted = isinstance(content, dict)
    if not wanted:
        raise ValueError("not a message of Jupyter's")
    return message


def _says_idle(message: Any, msg_id: str) -> bool:
    return bool(
        message["parent_header"].get("msg_id") == msg_id
        and message["msg_type"] == "status"
        and message["content"]["execution_state"] == "idle"
    )
