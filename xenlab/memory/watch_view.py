"""What a guest had while its balloon worked: by Xen's count, and by Linux's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenlab.ui.figure import show
from xenlab.ui.theme import PALETTE, figures

if TYPE_CHECKING:
    import pandas as pd


def show_watch(looks: pd.DataFrame, name: str, simulated: bool) -> None:
    """Show over time what a domain has as Xen counts, and what its kernel counts as its own and as free.

    `looks` is what `Memory.watch` returned, `name` the domain; `simulated` says that no real Xen was watched.
    """
    import matplotlib.pyplot as plt

    how = "simulated" if simulated else "measured"
    lines = (
        ("has", "what it has, as Xen counts", "blue", "-"),
        ("total", "MemTotal, as its Linux counts", "orange", "--"),
        ("free", "MemFree of that", "green", ":"),
    )
    with figures():
        figure, axis = plt.subplots(figsize=(7.2, 3.2))
        for column, label, colour, style in lines:
            axis.plot(
                looks.index, looks[column], style, label=label, color=PALETTE[colour], drawstyle="steps-post"
            )
        axis.set(
            xlabel="seconds", ylabel="MiB", ylim=(0, 1.1 * looks.has.max()), title=f"Memory of {name} ({how})"
        )
        figure.legend(loc="outside lower center", ncols=3)
        first, last = looks.iloc[0], looks.iloc[-1]
        show(
            figure,
            f"Within {looks.index[-1]:.0f} s ({how}), {name} went from {first.has:.0f} to {last.has:.0f} MiB as Xen "
            f"counts, its MemTotal from {first.total:.0f} to {last.total:.0f} MiB, and its MemFree from "
            f"{first.free:.0f} to {last.free:.0f} MiB.",
        )
