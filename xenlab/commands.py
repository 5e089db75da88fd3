"""What a command was and what it printed: the words that drivers and dom0s share.

A driver builds an argument list, hands it to something that can run it (`Commands`), and parses the text that
comes back. It never learns whether a real dom0 or a simulated one answered.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class XenlabError(Exception):
    """Any error that xenlab raises on purpose: what was given, the rule, the way out."""


@dataclass(frozen=True)
class Completed:
    """One command that has ended: its argument list, what it printed on both streams, its exit status.

    >>> done = Completed(("xl", "domid", "web"), "3\\n", "", 0)
    >>> done.command_line, done.ok
    ('xl domid web', True)
    """

    argv: tuple[str, ...]
    stdout: str
    stderr: str
    status: int

    @property
    def ok(self) -> bool:
        """True if the command exited with status 0."""
        return self.status == 0

    @property
    def command_line(self) -> str:
        """The command as one would type it in a shell."""
        return shlex.join(self.argv)


class CommandFailed(XenlabError):
    """A command that ended with a status other than 0; `.completed` holds all that it said."""

    def __init__(self, completed: Completed) -> None:
        self.completed = completed
        said = (completed.stderr or completed.stdout).strip() or "(it printed nothing)"
        super().__init__(f"$ {completed.command_line}\n{said}\n(exit status {completed.status})")


class Commands(Protocol):
    """What a driver needs of a dom0: to run a command there, to move a file, to let time pass."""

    def run(self, argv: Sequence[str], *, stdin: str = "", check: bool = True) -> Completed:
        """Run `argv` in dom0; with `check`, raise `CommandFailed` if its exit status is not 0."""

    def xl(self, *args: str) -> str:
        """Run ``xl`` with these arguments; return its standard output, raise `CommandFailed` if it fails."""

    def put(self, data: bytes, path: str) -> None:
        """Write `data` to the file `path` in dom0, replacing it."""

    def get(self, path: str) -> bytes:
        """Read the file `path` in dom0; raise `FileNotFoundError` if there is none."""

    def now(self) -> float:
        """Seconds on dom0's monotonic clock (a virtual clock on the simulator)."""

    def wait(self, seconds: float) -> None:
        """Let `seconds` pass in dom0; on the simulator this costs no real time."""
