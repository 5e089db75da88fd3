"""A dom0 reached over SSH: a Xen server elsewhere, or the box."""

from __future__ import annotations

import asyncio
import shlex
import threading
import time
from collections.abc import Coroutine, Sequence
from functools import cache
from typing import Any, ClassVar, TypeVar

import asyncssh

from xenlab.commands import Completed, XenlabError
from xenlab.hosts.dom0 import Dom0

T = TypeVar("T")

#: A shell that SSH starts without a login may lack the folders of Xen's tools.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Unreachable(XenlabError):
    """A dom0 that cannot be reached, or can no longer be."""


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """One event loop for all connections, in a thread of its own: notebooks already run one in theirs."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="xenlab-ssh", daemon=True).start()
    return loop


def _await(coroutine: Coroutine[Any, Any, T]) -> T:
    future = asyncio.run_coroutine_threadsafe(coroutine, _loop())
    try:
        return future.result()
    except BaseException:
        future.cancel()  # Ctrl-C ends the remote command too
        raise


class SshDom0(Dom0):
    """The dom0 of a Xen server elsewhere, over one SSH connection that stays open.

    Keys, users and ports come from ``~/.ssh/config`` and the agent, as with `ssh` itself; the server's key must be
    known, it is never accepted blindly.

    Args:
        address: ``host``, ``user@host`` or ``user@host:port``; the user is root unless given, since `xl` needs it.

    Raises:
        Unreachable: No connection, an unknown or changed host key, or no permission; the message says which.

    """

    kind: ClassVar[str] = "ssh"

    def __init__(self, address: str) -> None:
        user, _, rest = address.rpartition("@")
        host, _, port = rest.partition(":")
        settings: dict[str, Any] = {"port": int(port)} if port else {}
        self._connect(address, host, username=user or "root", **settings)

    def _connect(self, address: str, host: str, **settings: Any) -> None:
        self._address = address

        async def connect() -> asyncssh.SSHClientConnection:
            return await asyncssh.connect(host, connect_timeout=15, **settings)

        try:
            self._connection = _await(connect())
        except asyncssh.HostKeyNotVerifiable as error:
            raise Unreachable(
                f"the host key of {address} is not known ({error.reason}): connect once with `ssh {address}`, compare "
                "the fingerprint with the server's, and try again"
            ) from error
        except asyncssh.PermissionDenied as error:
            raise Unreachable(
                f"{address} refuses this user ({error.reason}): `ssh {address} true` must work first"
            ) from error
        except (OSError, asyncssh.Error) as error:
            raise Unreachable(f"cannot reach {address}: {error or type(error).__name__}") from error

    def run(self, argv: Sequence[str], stdin: str = "") -> Completed:
        """Run a command in dom0, as a shell there would: a missing one gives status 127."""
        out, err, status = self._execute(shlex.join(argv), stdin.encode())
        return Completed(tuple(argv), out.decode(errors="replace"), err.decode(errors="replace"), status)

    def _execute(self, command: str, stdin: bytes) -> tuple[bytes, bytes, int]:
        # With an empty `input` asyncssh sends no end of file, and a command that asks a question would wait for ever.
        given: dict[str, Any] = {"input": stdin} if stdin else {"stdin": asyncssh.DEVNULL}

        async def execute() -> asyncssh.SSHCompletedProcess:
            return await self._connection.run(f"PATH={PATH} {command}", encoding=None, **given)

        try:
            done = _await(execute())
        except (OSError, asyncssh.Error) as error:
            raise self._lost(error) from error
        if done.returncode is None:
            raise self._lost(ConnectionError("the connection closed before the command had ended"))
        return _bytes(done.stdout), _bytes(done.stderr), done.returncode

    def _lost(self, error: Exception) -> XenlabError:
        return Unreachable(f"lost {self._address}: {error or type(error).__name__}; connect again")

    def put(self, data: bytes, path: str) -> None:
        """Write `data` to the file `path` in dom0, replacing it."""
        _, err, status = self._execute(f"tee -- {shlex.quote(path)} >/dev/null", data)
        if status:
            raise OSError(f"{path}: {err.decode(errors='replace').strip()}")

    def get(self, path: str) -> bytes:
        """Read the file `path` in dom0."""
        out, err, status = self._execute(f"cat -- {shlex.quote(path)}", b"")
        if status:
            raise FileNotFoundError(f"{path}: {err.decode(errors='replace').strip()}")
        return out

    def now(self) -> float:
        """Seconds on this machine's monotonic clock."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Sleep: time in a real dom0 passes by itself."""
        time.sleep(seconds)

    def close(self) -> None:
        """Close the connection."""

        async def close() -> None:
            self._connection.close()
            await self._connection.wait_closed()

        _await(close())


def _bytes(data: bytes | str | None) -> bytes:
    return data.encode() if isinstance(data, str) else data or b""
