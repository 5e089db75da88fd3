"""The commands that were run, and what they printed: how the reader learns the real command line."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import traitlets

from xenlab.ui.widget import Widget, source

#: How many commands the page keeps in view, and how much of what each printed. All of it stays in the
#: transcript.
SHOWN, CHARACTERS = 40, 4000


class Entry(Protocol):
    """A command that was run: what it was, what it printed, its exit status, how long it took."""

    @property
    def argv(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def command_line(self) -> str: ...  # noqa: D102
    @property
    def stdout(self) -> str: ...  # noqa: D102
    @property
    def stderr(self) -> str: ...  # noqa: D102
    @property
    def status(self) -> int: ...  # noqa: D102
    @property
    def seconds(self) -> float: ...  # noqa: D102


class Transcript(Protocol):
    """Every entry so far, oldest first, and word of each new one."""

    def __iter__(self) -> Iterator[Entry]: ...
    def subscribe(self, callback: Callable[[Entry], None]) -> Callable[[], None]:
        """Call `callback` with each new entry; return a function that ends this."""


def as_rows(entries: Iterable[Entry]) -> list[dict[str, object]]:
    """Return the last entries as the page shows them: long output cut, repeats folded into one row.

    A repeat keeps what was printed last and counts (`times`) how often the command ran in succession.
    """
    rows: list[dict[str, object]] = []
    times = 1
    for entry in entries:
        again = (
            bool(rows) and rows[-1]["command"] == entry.command_line and rows[-1]["status"] == entry.status
        )
        times = times + 1 if again else 1
        if again:
            rows.pop()
        rows.append(
            {
                "command": entry.command_line,
                "stdout": _cut(entry.stdout),
                "stderr": _cut(entry.stderr),
                "status": entry.status,
                "seconds": round(entry.seconds, 3),
                "times": times,
            }
        )
    return rows[-SHOWN:]


def _cut(text: str) -> str:
    if len(text) <= CHARACTERS:
        return text
    return f"{text[:CHARACTERS]}\n… {len(text) - CHARACTERS} more characters in host.transcript"


class TranscriptView(Widget):
    """A window on a host's transcript that grows as commands are run, from whichever cell or button.

    `transcript` is `host.transcript`. Errors stand out, exit statuses other than 0 are shown, a command
    that was run several times in succession takes one row.
    """

    _esm = source("parts.js", "transcript.js", "transcript_view.js")
    rows: traitlets.List[dict[str, object]] = traitlets.List().tag(sync=True)

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        super().__init__(rows=as_rows(transcript))
        self.until_closed(transcript.subscribe(lambda _: self._update()))

    def _update(self) -> None:
        self.rows = as_rows(self._transcript)

    def describe(self) -> str:
        """Return the commands as a terminal would have shown them."""
        return "\n".join(f"$ {row['command']}\n{row['stdout']}{row['stderr']}".rstrip() for row in self.rows)

    def picture(self) -> str:
        """Return the same as a preformatted block."""
        return f"<pre>{html.escape(self.describe())}</pre>"
