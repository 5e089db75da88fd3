"""One line of the table of results."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """What was measured, the median of its runs, and what it should be.

    `target` is a limit from above, or from below where `at_least`; None where there is only something to know.
    """

    name: str
    figures: tuple[float, ...]
    unit: str
    target: float | None
    at_least: bool = False

    @property
    def median(self) -> float:
        return statistics.median(self.figures)

    @property
    def met(self) -> bool:
        if self.target is None:
            return True
        return self.median >= self.target if self.at_least else self.median <= self.target


def seconds(work: Callable[[], object], runs: int = 5) -> tuple[float, ...]:
    """How long `work` takes, `runs` times."""
    figures = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        figures.append(time.perf_counter() - start)
    return tuple(figures)


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| what | median | range | target | |", "|---|---:|---:|---:|---|"]
    for row in rows:
        verdict, target = "", "–"
        if row.target is not None:
            verdict = "met" if row.met else "**missed**"
            target = f"{'≥' if row.at_least else '≤'} {row.target:g} {row.unit}"
        low, high = min(row.figures), max(row.figures)
        lines.append(
            f"| {row.name} | {row.median:.4g} {row.unit} | {low:.4g}–{high:.4g} ({len(row.figures)} runs) "
            f"| {target} | {verdict} |"
        )
    return "\n".join(lines) + "\n"
