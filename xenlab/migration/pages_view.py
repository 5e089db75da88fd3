"""A guest's memory while it is moved: which pages are at the target, and which have been written again since."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from xenlab.migration.frames_view import Frames, svg
from xenlab.migration.pages import BATCH, PageNumbers, bitmap, count, mib_of, shares
from xenlab.migration.policies import Policy
from xenlab.migration.precopy import Precopy
from xenlab.migration.rounds import Guest, Path, Round
from xenlab.migration.workloads import Workload
from xenlab.ui.theme import DARK, PALE, PALETTE

COLUMNS, ROWS = 64, 8
CELL = 12
#: How many drawings a round gets at most.
LOOKS = 6


@dataclass(frozen=True)
class Look:
    """Memory at one moment, in cells: the share of each that is up to date at the target, and that is stale there.

    `clean` and `stale` are those pages counted over all memory; `done` are the rounds that have ended.
    """

    number: int
    live: bool
    now: float
    copied: npt.NDArray[np.float64]
    outdated: npt.NDArray[np.float64]
    clean: int
    stale: int
    done: tuple[Round, ...]


class _Watched(Precopy):
    """A pre-copy that is looked at every so many batches."""

    looks: list[Look]

    def watch(self) -> tuple[Look, ...]:
        """Run it to its end and return what was seen."""
        self.looks, self._ever, self._batch = [], bitmap(self.guest.pages), 0
        self._look()
        for done in self:
            self._ever |= self.sent
            self._look(done)
        return tuple(self.looks)

    def _send(self, pages: PageNumbers) -> None:
        super()._send(pages)
        self._ever[pages] = True

    def _run_guest(self, seconds: float) -> None:
        super()._run_guest(seconds)
        self._batch += 1
        batches = math.ceil(count(self.to_send) / BATCH)
        if self._batch % max(1, math.ceil(batches / LOOKS)) == 0:
            self._look()

    def _look(self, done: Round | None = None) -> None:
        waiting = self.dirty | (self.to_send & ~self.sent)
        clean, stale = self._ever & ~waiting, self._ever & waiting
        number = done.number if done else len(self.rounds) + 1
        self.looks.append(
            Look(
                number,
                done is None or done.live,
                self.now if done is None else done.start + done.seconds,
                shares(clean, COLUMNS * ROWS),
                shares(stale, COLUMNS * ROWS),
                count(clean),
                count(stale),
                tuple(self.rounds),
            )
        )


class PageStory(Frames):
    """A live migration as a map of memory that plays: pages reach the target, and some are written again.

    Each square stands for a stretch of `guest`'s memory. It is empty while its pages are only at the source,
    green when they are at the target, and has an orange diamond, the larger the more of them have been
    written since. The arguments are those of `xenlab.migration.precopy.Precopy`; all of it is simulated.

    >>> from xenlab.migration.policies import Xen417
    >>> from xenlab.migration.workloads import hot_cold
    >>> story = PageStory(Guest(64), hot_cold(64, 4, 40, 2), Xen417(), Path(mbit=400))
    >>> story.step(-1)
    'The guest runs at the source; the target has nothing yet. Press Play, or step with the arrow keys.'
    """

    def __init__(
        self, guest: Guest, workload: Workload, policy: Policy, path: Path | None = None, *, seed: int = 0
    ) -> None:
        run = _Watched(guest, workload, policy, path, seed=seed)
        looks = run.watch()
        captions = list(_captions(looks, run.reason))
        title = f"Memory of a guest of {guest.mib:g} MiB, moved by the rule of {policy.name} (simulated)"
        super().__init__(title, captions, [_draw(look, guest.pages) for look in looks], period=700)


def _captions(looks: tuple[Look, ...], reason: str) -> Iterator[str]:
    yield "The guest runs at the source; the target has nothing yet. Press *Play*, or step with the arrow keys."
    for before, look in pairwise(looks):
        if not look.live:
            last = look.done[-1]
            yield (
                f"**Stop and copy**, because {reason}. The guest stood still for {last.seconds * 1000:.0f} ms "
                f"while the last {last.sent:,} pages went over."
            )
        elif len(look.done) > len(before.done):
            last = look.done[-1]
            yield (
                f"Round {last.number} has ended after {last.seconds:.2f} s: {last.sent:,} pages sent. "
                f"Meanwhile the guest has written **{last.dirtied:,}**."
            )
        else:
            yield (
                f"Round {look.number}, at {look.now:.2f} s: {look.clean:,} pages are at the target and up to date, "
                f"{look.stale:,} were written after they had been sent."
            )


def _draw(look: Look, pages: int) -> str:
    left, top = 6, 8
    cells: dict[str, list[str]] = {"empty": [], "copied": [], "diamond": []}
    for index, (copied, outdated) in enumerate(zip(look.copied, look.outdated, strict=True)):
        x, y = left + index % COLUMNS * CELL, top + index // COLUMNS * CELL
        side = CELL - 2
        kind = "copied" if copied + outdated >= 0.5 else "empty"
        cells[kind].append(f"M{x} {y}h{side}v{side}h-{side}z")
        if outdated > 0:
            half = max(2.0, side / 2 * math.sqrt(outdated))
            cells["diamond"].append(
                f"M{x + side / 2:g} {y + side / 2 - half:.1f}l{half:.1f} {half:.1f}l-{half:.1f} {half:.1f}"
                f"l-{half:.1f} -{half:.1f}z"
            )
    bottom = top + ROWS * CELL
    return svg(
        COLUMNS * CELL + 12,
        bottom + 122,
        f"{look.clean} of {pages} pages are at the target and up to date, {look.stale} are out of date",
        f"<path d='{''.join(cells['empty'])}' class='line'/>",
        f"<path d='{''.join(cells['copied'])}' fill='{PALE['green']}'/>",
        f"<path d='{''.join(cells['diamond'])}' fill='{PALETTE['vermilion']}' stroke='{DARK}' stroke-width='.6'/>",
        _legend(bottom + 20, pages, look),
        _bars(bottom + 34, look),
    )


def _legend(y: int, pages: int, look: Look) -> str:
    missing = pages - look.clean - look.stale
    return (
        f"<rect x='6' y='{y - 10}' width='10' height='10' class='line'/>"
        f"<text x='22' y='{y}' class='small'>only at the source: {missing:,}</text>"
        f"<rect x='226' y='{y - 10}' width='10' height='10' fill='{PALE['green']}'/>"
        f"<text x='242' y='{y}' class='small'>up to date at the target: {look.clean:,}</text>"
        f"<rect x='480' y='{y - 10}' width='10' height='10' fill='{PALE['green']}'/>"
        f"<path d='M485 {y - 10}l5 5l-5 5l-5 -5z' fill='{PALETTE['vermilion']}' stroke='{DARK}' stroke-width='.6'/>"
        f"<text x='496' y='{y}' class='small'>sent, then written again: {look.stale:,}</text>"
    )


def _bars(y: int, look: Look) -> str:
    """A row for each of the last four rounds: what it sent, as a bar on a scale that shows small numbers too."""
    rows = look.done[-4:]
    parts = []
    for line, each in enumerate(rows):
        at = y + 20 * line
        length = 300 * math.log2(1 + each.sent) / 21
        fill = PALE["sky"] if each.live else PALE["vermilion"]
        name = f"round {each.number}" if each.live else "stop and copy"
        told = f"{each.sent:,} pages ({mib_of(each.sent):.1f} MiB) in {each.seconds:.2f} s"
        parts.append(
            f"<text x='96' y='{at + 13}' text-anchor='end' class='small'>{name}</text>"
            f"<rect x='104' y='{at + 2}' width='{length:.0f}' height='14' fill='{fill}'/>"
            f"<text x='{110 + length:.0f}' y='{at + 13}' class='small'>{told}</text>"
        )
    return "".join(parts)
