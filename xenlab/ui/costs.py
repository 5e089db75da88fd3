"""What things cost on this machine, as bars: several chapters measure, and this draws."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cost:
    """One way to do something, and the nanoseconds that it took: the median of some runs, and each of them."""

    way: str
    runs: tuple[float, ...]

    @property
    def nanoseconds(self) -> float:
        """The median."""
        return statistics.median(self.runs)


def costs_figure(costs: Sequence[Cost], what: str) -> tuple[Any, str]:
    """Draw costs as bars on a logarithmic scale; returns the figure and its description.

    Args:
        costs: What was measured, the first on top.
        what: What each took that long: "call".

    """
    from matplotlib import pyplot as plt

    from xenlab.ui.theme import PALETTE, figures

    with figures():
        figure, axis = plt.subplots(figsize=(7.6, 1.0 + 0.38 * len(costs)))
        axis.barh(
            [each.way for each in costs],
            [each.nanoseconds for each in costs],
            color=PALETTE["blue"],
            height=0.6,
        )
        for row, each in enumerate(costs):
            axis.text(each.nanoseconds * 1.15, row, in_words(each.nanoseconds), va="center")
        axis.set_xscale("log")
        least, most = min(each.nanoseconds for each in costs), max(each.nanoseconds for each in costs)
        axis.set_xlim(least / 4, 12 * most)
        axis.set_xlabel(f"nanoseconds a {what}, logarithmic")
        axis.invert_yaxis()
        axis.grid(axis="y", visible=False)
    told = "; ".join(f"{each.way} {in_words(each.nanoseconds)}" for each in costs)
    return figure, f"Bars of what one {what} costs, measured on this machine: {told}."


def in_words(nanoseconds: float) -> str:
    """A short time with its unit.

    >>> in_words(2.5), in_words(12_345), in_words(7.5e6)
    ('2.5 ns', '12.3 µs', '7.5 ms')
    """
    for limit, unit in ((1e3, "ns"), (1e6, "µs"), (1e9, "ms")):
        if nanoseconds < limit:
            return f"{nanoseconds / limit * 1e3:.1f} {unit}"
    return f"{nanoseconds / 1e9:.1f} s"
