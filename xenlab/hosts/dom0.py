"""A dom0: the privileged domain in which Xen's tools run, reached one way or another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from xenlab.commands import Completed


class Dom0(ABC):
    """The privileged domain of a Xen host, as something that runs commands.

    Four kinds exist: `LocalDom0` (this machine is dom0), `SshDom0` (a server elsewhere), `Box` (a real Xen in QEMU)
    and `SimDom0` (an interpreter of the same commands over models). All answer `run`, `put`, `get` and tell the time.
    """

    kind: ClassVar[str]
    simulated: ClassVar[bool] = False
    #: Is this host ours alone? On a shared one xenlab touches only domains that carry its prefix.
    shared: ClassVar[bool] = True

    @abstractmethod
    def run(self, argv: Sequence[str], stdin: str = "") -> Completed:
        """Run a command in dom0 and return what it printed and its exit status, whatever that is.

        A command that is not installed gives status 127, as a shell does. Raises only if dom0 itself cannot be reached.
        """

    @abstractmethod
    def put(self, data: bytes, path: str) -> None:
        """Write `data` to the file `path` in dom0, replacing it."""

    @abstractmethod
    def get(self, path: str) -> bytes:
        """Read the file `path` in dom0; raise `FileNotFoundError` if there is none."""

    @abstractmethod
    def now(self) -> float:
        """Seconds on a clock that only goes forward: real time, or the simulator's virtual time."""

    @abstractmethod
    def wait(self, seconds: float) -> None:
        """Let time pass in dom0: sleep, or advance the virtual clock."""

    @abstractmethod
    def close(self) -> None:
        """Give back what this connection holds. Closing twice is allowed."""
