"""One command while it runs: what was asked, and what it has printed so far."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from xenlab.storage.lvm.manager import Lvm
from xenlab.storage.lvm.names import SEE_HELP, LvmError

NO_MATCH = "No command with matching syntax recognised.  Run '{} --help' for more information."


@dataclass
class Call:
    """One command while it runs: its options and arguments, and what it has printed."""

    lvm: Lvm
    command: str
    options: dict[str, str]
    arguments: list[str]
    tags: frozenset[str]
    answers: Iterator[str]
    stdout: list[str] = field(default_factory=list)
    stderr: list[str] = field(default_factory=list)
    status: int = 0

    def say(self, text: str) -> None:
        """Print a message."""
        self.stdout.append(f"  {text}\n")

    def fail(self, error: LvmError) -> None:
        """Print an error and go on with the next argument; the exit status tells."""
        self.stderr += [f"  {line}\n" for line in str(error).split("\n")]
        self.status = error.status

    def agrees(self, question: str) -> bool:
        """Ask, unless -y or -f was given; without an answer it is no."""
        if "yes" in self.options or "force" in self.options:
            return True
        answer = next(self.answers, None)
        self.stderr.append(f"{question} [y/n]: " + ("[n]\n" if answer is None else ""))
        return answer is not None and answer.strip().lower() in ("y", "yes")

    def lacks(self, syntax: str, purpose: str) -> LvmError:
        """Print what the command would have to look like, and return the error: something is missing in it."""
        self.stdout.append(f"  {self.command} {syntax}\n  {purpose}\n\n")
        return LvmError(f"{NO_MATCH.format(self.command)}\nNearest similar command has syntax:", status=3)

    def no_match(self) -> LvmError:
        """Return the error for a command without the options it needs."""
        return LvmError(NO_MATCH.format(self.command), status=3)

    def wrong(self, text: str) -> LvmError:
        """Return the error for a command line that makes no sense."""
        return LvmError(f"{text}\n{SEE_HELP.format(self.command)}", status=3)

    def each(self, names: Iterable[str], do: Callable[[str], None]) -> None:
        """Do something for each name; one that fails does not stop the rest."""
        for name in names:
            try:
                do(name)
            except LvmError as error:
                self.fail(error)
