"""A program that runs in the simulated dom0: what it was given, what it prints, how it ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from xenlab.commands import Completed, XenlabError


class NotSimulated(XenlabError):
    """A command that the simulated dom0 does not interpret yet; a real host runs it."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} is not simulated. Run it on a real Xen host: "
            'xenlab.connect("box"), or connect("ssh://user@host")'
        )


class ExitProgram(Exception):
    """The end of a program from within, with its exit status."""

    def __init__(self, status: int) -> None:
        self.status = status


class Process:
    """One run of a program: its argument list and standard input, and what it has printed so far.

    >>> process = Process(["echo", "hello"])
    >>> process.out("hello\\n")
    >>> process.completed(0).stdout
    'hello\\n'
    """

    def __init__(self, argv: Sequence[str], stdin: str = "") -> None:
        self.argv = tuple(argv)
        self.stdin = stdin
        self._stdout: list[str] = []
        self._stderr: list[str] = []

    def out(self, text: str) -> None:
        """Print on standard output, as it is: a line end must be given."""
        self._stdout.append(text)

    def err(self, text: str) -> None:
        """Print on standard error, as it is: a line end must be given."""
        self._stderr.append(text)

    def fail(self, text: str, status: int = 1) -> NoReturn:
        """Print one line on standard error and end the program."""
        self.err(text + "\n")
        raise ExitProgram(status)

    def fail_silently(self, status: int = 1) -> NoReturn:
        """End the program where all has been said."""
        raise ExitProgram(status)

    def completed(self, status: int) -> Completed:
        """The record of the program after it ended with `status`."""
        return Completed(self.argv, "".join(self._stdout), "".join(self._stderr), status)
