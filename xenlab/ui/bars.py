"""Lying bars with their numbers beside them: several chapters count exits, entries or cycles, and this draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

#: What tells the parts of a bar apart without colour, in the order of the parts.
HATCHES = ("", "///", "...", "xxx", "", "\\\\\\")


def counts_figure(
    counts: Sequence[tuple[str, float]],
    label: str,
    *,
    title: str = "",
    colours: Sequence[str] = (),
    powers_of_ten: bool = True,
) -> Any:
    """Draw counts as bars, the first on top, each with its number; returns the figure.

    Args:
        counts: What was counted, and how often.
        label: What stands under the axis: "exits".
        title: What stands above; nothing if it is empty.
        colours: A name of `xenlab.ui.theme.PALETTE` for each bar; blue for those without.
        powers_of_ten: Is the scale logarithmic?

    """
    from matplotlib import pyplot as plt

    from xenlab.ui.theme import PALETTE, figures

    names, values = [name for name, _ in counts], [value for _, value in counts]
    filled = [PALETTE[colour] for colour in [*colours, *["blue"] * (len(counts) - len(colours))]]
    with figures():
        figure, axes = plt.subplots(figsize=(7.2, 0.34 * len(counts) + 1.0))
        axes.barh(names, values, color=filled, height=0.6)
        for row, value in enumerate(values):
            axes.text(value, row, f" {value:,.0f}", va="center")
        if powers_of_ten:
            axes.set_xscale("log")
            axes.set_xlim(0.7, max(values) * 6)
        else:
            axes.set_xlim(right=max(values) * 1.15)
        axes.invert_yaxis()
        axes.set(xlabel=label, title=title)
        axes.grid(axis="y", visible=False)
    return figure


def parts_figure(
    names: Sequence[str],
    parts: Mapping[str, Sequence[float]],
    colours: Sequence[str],
    label: str,
    columns: int,
) -> Any:
    """Draw bars made of parts, the first on top, each with its sum; returns the figure.

    Args:
        names: What the bars are of.
        parts: By what a part is about, its length in each bar.
        colours: A name of `xenlab.ui.theme.PALETTE` for each part.
        label: What stands under the axis.
        columns: Columns of the legend.

    """
    from matplotlib import pyplot as plt

    from xenlab.ui.theme import LIGHT, PALETTE, figures

    with figures():
        figure, axes = plt.subplots(figsize=(7.2, 0.6 * len(names) + 1.7))
        left = [0.0] * len(names)
        for (about, widths), colour, hatch in zip(parts.items(), colours, HATCHES, strict=False):
            axes.barh(
                names,
                widths,
                left=left,
                label=about,
                color=PALETTE[colour],
                hatch=hatch,
                edgecolor=LIGHT,
                height=0.62,
            )
            left = [before + width for before, width in zip(left, widths, strict=True)]
        for row, total in enumerate(left):
            axes.text(total, row, f" {total:g}", va="center")
        axes.set_xlim(right=max(left) * 1.1)
        axes.invert_yaxis()
        axes.set_xlabel(label)
        axes.grid(axis="y", visible=False)
        figure.legend(loc="outside lower center", ncols=columns)
    return figure
