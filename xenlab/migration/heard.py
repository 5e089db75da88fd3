"""A migration as it was heard on the cable between two hosts: its rounds, and when each went over.

`xl` tells nothing of its rounds, not even with ``-vvv``: while it migrates it hides all progress
(`tools/xl/xl_migrate.c`: XTL_STDIOSTREAM_HIDE_PROGRESS). But the stream itself has them, since each round sends
the pages that were dirty when it began. So a real migration can be held against the rule that Xen says it
follows (`replay`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

from xenlab.migration.pages import PAGE_BYTES, MigrationError, mib_of
from xenlab.migration.policies import Action, Policy
from xenlab.migration.rounds import Round
from xenlab.migration.stream import SaveFile, read_save

if TYPE_CHECKING:
    import pandas as pd

#: A piece of what went over the cable: when, in seconds, and its bytes.
Piece = tuple[float, bytes]


@dataclass(frozen=True)
class HeardRound:
    """One round on the cable. The last of a live migration, with `live` False, came while the guest stood still.

    `pages` went over with their contents. `start` counts from the first byte of the connection; `seconds` is
    the time from the round's first page to its last.
    """

    live: bool
    pages: int
    start: float
    seconds: float

    @property
    def rate(self) -> float:
        """Mbit/s of page contents; 0 where all of it came at once."""
        return self.pages * PAGE_BYTES * 8 / 1e6 / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True)
class Heard:
    """What was heard of one migration, or of one saved guest that was copied.

    `saved` is the whole stream taken apart, None if it was simulated and there was none.
    """

    rounds: tuple[HeardRound, ...]
    saved: SaveFile | None = None

    def frame(self) -> pd.DataFrame:
        """Return a table with a row a round: `live`, `pages`, `start`, `seconds`, and `mib` and `rate` (Mbit/s)."""
        import pandas as pd

        rows = [asdict(each) | {"mib": mib_of(each.pages), "rate": each.rate} for each in self.rounds]
        return pd.DataFrame(rows, index=pd.RangeIndex(1, len(rows) + 1, name="round"))

    def __str__(self) -> str:
        pages = ", ".join(f"{each.pages:,}" for each in self.rounds)
        live = sum(each.live for each in self.rounds)
        return f"{live} live rounds and the stop-and-copy phase, pages: {pages}"


class _Conversation:
    """Pieces as a file to be read from front to back, which remembers when each byte came."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._pieces = iter(pieces)
        self._left = b""
        self._ends: list[int] = []  # where each piece ended, and when it came
        self._times: list[float] = []

    def read(self, size: int) -> bytes:
        if not self._left:
            self._left = self._next()
        found, self._left = self._left[:size], self._left[size:]
        return found

    def _next(self) -> bytes:
        for time, data in self._pieces:
            if data:
                self._ends.append((self._ends[-1] if self._ends else 0) + len(data))
                self._times.append(time)
                return data
        return b""

    def skip_line(self) -> int:
        """Pass over the first line; return its length."""
        length = 1
        while (byte := self.read(1)) != b"\n":
            if not byte:
                raise MigrationError("nothing was heard on the cable: move a guest while you listen")
            length += 1
        return length

    def when(self, offset: int) -> float:
        """Seconds from the first piece to the one with the byte before `offset`."""
        return self._times[bisect_left(self._ends, offset)] - self._times[0]


def hear(pieces: Iterable[Piece]) -> Heard:
    """Read one side of a conversation: a line with a command, then a guest, sent live or as a saved file.

    Raises `StreamError` if what follows the command is not a guest, or not all of one; `MigrationError` if
    nothing was said.

    >>> import io
    >>> from xenlab.migration.streamwriter import write_save
    >>> file = io.BytesIO()
    >>> _ = write_save(file, {}, [(0, b"boot"), (1, b""), (0, b"again")])
    >>> heard = hear([(100.0, b"xl migrate-receive\\n"), (101.5, file.getvalue())])
    >>> [(each.pages, each.start) for each in heard.rounds]
    [(3, 1.5)]
    """
    conversation = _Conversation(pieces)
    ahead = conversation.skip_line()
    saved = read_save(cast(BinaryIO, conversation))
    rounds = []
    for batches in saved.passes:
        start = conversation.when(ahead + batches[0].start + 1)
        end = conversation.when(ahead + batches[-1].end)
        rounds.append(HeardRound(True, sum(batch.with_data for batch in batches), start, end - start))
    if rounds:
        last = rounds[-1]
        rounds[-1] = HeardRound(False, last.pages, last.start, last.seconds)
    return Heard(tuple(rounds), saved)


def replay(rounds: Sequence[HeardRound], policy: Policy) -> str:
    """Return why `policy` ends pre-copy after just these live rounds. Raises `MigrationError` if it would not have.

    >>> from xenlab.migration.policies import Xen417
    >>> def heard(*pages):
    ...     return [HeardRound(number < len(pages), each, 0, 1) for number, each in enumerate(pages, start=1)]
    >>> replay(heard(16384, 900, 31, 300), Xen417())
    '31 dirty pages are fewer than 50'
    >>> replay(heard(16384, 900, 31, 30, 300), Xen417())
    Traceback (most recent call last):
    ...
    xenlab.migration.pages.MigrationError: round 3 of 31 pages must be the last live one by the rule of Xen 4.17
    """
    done: list[Round] = []
    live = [each for each in rounds if each.live]
    total = live[0].pages if live else 0
    for number, each in enumerate(live, start=1):
        before = policy.decide(done, total, each.pages)
        done.append(
            Round(number, True, each.start, each.seconds, each.pages, each.pages, 0, 0, 0, float("inf"))
        )
        after = policy.decide(done, total, None)
        if before.action is Action.SEND_LAST or after.action is Action.STOP:
            if number < len(live):
                raise MigrationError(
                    f"round {number} of {each.pages} pages must be the last live one by the rule of {policy.name}"
                )
            return before.reason or after.reason
    # Fewer pages than the least were dirty: none, since they would have gone over in a round of their own.
    last = policy.decide(done, total, 0)
    if last.action is Action.SEND:
        raise MigrationError(f"{len(live)} live rounds must be followed by more by the rule of {policy.name}")
    return last.reason
