"""The record of what was typed and what came back: how a reader learns the real command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import overload

from xenlab.commands import Completed

#: How many characters of what one command printed are kept: xen-mfndump prints megabytes.
LONGEST = 200_000


@dataclass(frozen=True)
class Entry:
    """One command of the transcript: what ran, what it said, how long it took in seconds of dom0's clock."""

    completed: Completed
    seconds: float

    @property
    def argv(self) -> tuple[str, ...]:
        """The argument list."""
        return self.completed.argv

    @property
    def command_line(self) -> str:
        """The command as one would type it."""
        return self.completed.command_line

    @property
    def stdout(self) -> str:
        """What it printed."""
        return self.completed.stdout

    @property
    def stderr(self) -> str:
        """What it complained of."""
        return self.completed.stderr

    @property
    def status(self) -> int:
        """Its exit status."""
        return self.completed.status

    def __str__(self) -> str:
        return f"$ {self.command_line}\n{self.stdout}{self.stderr}".rstrip("\n")


class Transcript(Sequence[Entry]):
    """Every command run on a host, oldest first; `subscribe` to hear of each as it ends.

    >>> transcript = Transcript()
    >>> transcript.append(Entry(Completed(("xl", "domid", "web"), "3\\n", "", 0), 0.1))
    >>> print(transcript)
    $ xl domid web
    3
    """

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._listeners: list[Callable[[Entry], None]] = []

    def append(self, entry: Entry) -> None:
        """Add a command that has ended, and tell the subscribers; of very long output only the beginning is kept."""
        if (more := len(entry.stdout) - LONGEST) > 0:
            kept = f"{entry.stdout[:LONGEST]}\n… {more} more characters were not kept\n"
            entry = replace(entry, completed=replace(entry.completed, stdout=kept))
        self._entries.append(entry)
        for listener in tuple(self._listeners):
            listener(entry)

    def subscribe(self, listener: Callable[[Entry], None]) -> Callable[[], None]:
        """Call `listener` with each entry from now on; returns a function that stops this."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        return self._entries[index]

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._entries))

    def __str__(self) -> str:
        return "\n".join(str(entry) for entry in self)
