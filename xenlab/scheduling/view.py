"""Scheduling on the page: a run that plays and answers to sliders, and shares predicted beside shares measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import traitlets

from xenlab.scheduling.machine import (
    BvtParameters,
    Credit2Parameters,
    CreditParameters,
    Parameters,
    SchedulingError,
    SedfParameters,
    System,
)
from xenlab.scheduling.simulate import predict, simulate
from xenlab.scheduling.view_chart import WIDTH, colour_of, draw, x_of
from xenlab.scheduling.view_words import told
from xenlab.scheduling.workload import Blocking
from xenlab.ui.figure import show
from xenlab.ui.player import PLAYER_JS, Player
from xenlab.ui.text import to_html
from xenlab.ui.theme import PALETTE, figures
from xenlab.ui.widget import source

if TYPE_CHECKING:
    import pandas as pd

_HERE = Path(__file__).parent

#: The schedulers that the widget offers, by what it calls them.
SCHEDULERS: Mapping[str, Parameters] = {
    "credit": CreditParameters(),
    "credit2": Credit2Parameters(),
    "BVT (2003)": BvtParameters(),
    "sEDF (2005)": SedfParameters(),
}
#: Where the weight sliders stop.
WEIGHTS = (64, 128, 192, 256, 384, 512, 768, 1024, 2048)
SPAN_MS, STEP_MS = 480, 10
#: Simulated seconds over which the shares are counted: many, so that equals get equal shares. Domains that sleep wake
#: so often that the model takes ten times as long; there a third of the seconds must do.
SHARES_SECONDS, SHARES_SECONDS_ASLEEP = 12, 4


class WhatIf(Player):
    """A system of domains under a scheduler: its first half second as a picture that plays, and its shares.

    Every domain has a slider for its weight and one for its cap, and moving them runs the model anew. `measured` are
    shares in pCPUs that a host gave these domains, shown beside the predicted ones; `simulated` says that this host
    was no real one. The sliders can be moved from Python too:

    >>> from xenlab.scheduling import Domain, System
    >>> what_if = WhatIf(System((Domain("web"), Domain("db")), pcpus=1))
    >>> what_if.set("web", weight=512)
    'web 66.5 %, db 33.5 % of a pCPU (simulated)'
    """

    needs_kernel = "select, .knob input"
    _esm = PLAYER_JS + source(_HERE / "view.js")
    _css = source("theme.css", _HERE / "view.css")

    svg = traitlets.Unicode().tag(sync=True)
    #: Where the end of each moment stands in the picture.
    xs: traitlets.List[float] = traitlets.List().tag(sync=True)
    width = traitlets.Int(WIDTH).tag(sync=True)
    weights: traitlets.List[int] = traitlets.List(list(WEIGHTS)).tag(sync=True)
    schedulers: traitlets.List[str] = traitlets.List(list(SCHEDULERS)).tag(sync=True)
    #: What the reader sets: the scheduler, and {name, weight, cap} of each domain.
    scheduler = traitlets.Unicode("credit").tag(sync=True)
    knobs: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    #: What comes of it, a dict for each domain: name, colour, most (pCPUs), predicted, measured (or None).
    shares: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    pcpus = traitlets.Int(1).tag(sync=True)
    #: Simulated seconds over which the shares are counted.
    counted_over = traitlets.Int(SHARES_SECONDS).tag(sync=True)
    capped = traitlets.Bool(True).tag(sync=True)
    source_of_measured = traitlets.Unicode("").tag(sync=True)

    def __init__(
        self, system: System, measured: Mapping[str, float] | None = None, *, simulated: bool = False
    ) -> None:
        self._system = system
        self._measured = {} if measured is None else dict(measured)
        name = next((n for n, p in SCHEDULERS.items() if type(p) is type(system.scheduler)), "credit")
        moments = range(0, SPAN_MS + 1, STEP_MS)
        super().__init__(
            [""] * len(moments),
            moment=len(moments) - 1,
            period=250,
            xs=[x_of(ms, SPAN_MS) for ms in moments],
            scheduler=name,
            knobs=[{"name": d.name, "weight": d.weight, "cap": d.cap} for d in system.domains],
            pcpus=len(system.pcpu_numbers),
            source_of_measured="on the simulated host" if simulated else "measured",
        )
        self._run_anew()
        self.observe(lambda _: self._run_anew(), ["knobs", "scheduler"])

    def set(
        self, name: str, *, weight: int | None = None, cap: int | None = None, scheduler: str | None = None
    ) -> str:
        """Move a domain's sliders, or choose another scheduler; return the shares that come of it.

        Raises `SchedulingError` for a value out of its range, and leaves everything as it was.
        """
        if name not in [knob["name"] for knob in self.knobs]:
            raise SchedulingError(f"name(={name!r}) must be one of these domains: {', '.join(self._names())}")
        if scheduler is not None and scheduler not in SCHEDULERS:
            raise SchedulingError(f"scheduler(={scheduler!r}) must be one of: {', '.join(SCHEDULERS)}")
        changes = {key: value for key, value in (("weight", weight), ("cap", cap)) if value is not None}
        knobs = [{**knob, **(changes if knob["name"] == name else {})} for knob in self.knobs]
        self._system_of(scheduler or self.scheduler, knobs)  # raises before anything has changed
        self.scheduler = scheduler or self.scheduler
        self.knobs = knobs
        return self._told_shares()

    @property
    def system(self) -> System:
        """The system as the sliders have it now."""
        return self._system_of(self.scheduler, self.knobs)

    def _system_of(self, scheduler: str, knobs: list[dict[str, Any]]) -> System:
        given, parameters = self._system.scheduler, SCHEDULERS[scheduler]
        caps = not isinstance(parameters, BvtParameters)
        domains = tuple(
            replace(domain, weight=int(knob["weight"]), cap=int(knob["cap"]) if caps else 0)
            for domain, knob in zip(self._system.domains, knobs, strict=True)
        )
        return replace(
            self._system,
            domains=domains,
            scheduler=given if type(given) is type(parameters) else parameters,
        )

    def _run_anew(self) -> None:
        system = self.system
        run = simulate(system, SPAN_MS / 1000)
        asleep = any(isinstance(domain.workload, Blocking) for domain in system.domains)
        seconds = SHARES_SECONDS_ASLEEP if asleep else SHARES_SECONDS
        predicted = predict(system, seconds)
        with self.hold_sync():
            self.svg = draw(run)
            self._captions = told(run, STEP_MS)
            self.captions = [to_html(caption) for caption in self._captions]
            self.counted_over = seconds
            self.capped = not isinstance(system.scheduler, BvtParameters)
            self.shares = [
                {
                    "name": domain.name,
                    "colour": colour_of(i),
                    "most": domain.vcpus,
                    "predicted": round(predicted[domain.name], 4),
                    "measured": self._measured.get(domain.name),
                }
                for i, domain in enumerate(system.domains)
            ]

    def _names(self) -> list[str]:
        return [domain.name for domain in self._system.domains]

    def _told_shares(self) -> str:
        def each(share: dict[str, Any]) -> str:
            measured = share["measured"]
            beside = "" if measured is None else f" ({100 * measured:.1f} % {self.source_of_measured})"
            return f"{share['name']} {100 * share['predicted']:.1f} %{beside}"

        return ", ".join(map(each, self.shares)) + " of a pCPU (simulated)"

    def describe(self) -> str:
        """Return the shares, and every moment's caption."""
        settings = ", ".join(
            f"{knob['name']} weight {knob['weight']}" + (f" cap {knob['cap']}" if knob["cap"] else "")
            for knob in self.knobs
        )
        return f"{self.scheduler}: {settings}\n{self._told_shares()}\n{super().describe()}"

    def picture(self) -> str:
        """Return the picture of the whole span, and the shares in words."""
        return f"<div>{self.svg}<p>{escape(self.scheduler)}: {escape(self._told_shares())}</p></div>"


def show_shares(
    predicted: Mapping[str, float], measured: Mapping[str, float] | pd.Series[float], simulated: bool
) -> None:
    """Show as bars what the model predicted for each domain and, beside it, what the host gave it (pCPUs).

    `simulated` says that a simulated host was measured, not a real Xen.
    """
    import matplotlib.pyplot as plt

    names = list(predicted)
    where = "on the simulated host" if simulated else "measured on Xen"
    kinds = (("predicted", predicted, "sky", 0.2), (where, measured, "blue", -0.2))
    with figures():
        figure, axis = plt.subplots(figsize=(7.2, 1.3 + 0.62 * len(names)))
        for label, values, colour, offset in kinds:
            heights = [offset + place for place in range(len(names))]
            bars = axis.barh(
                heights, [100 * values[name] for name in names], 0.36, label=label, color=PALETTE[colour]
            )
            axis.bar_label(bars, fmt=" %.1f %%", fontsize=9)
        most = 100 * max(*(values[name] for _, values, _, _ in kinds for name in names), 1.0)
        axis.set_yticks(range(len(names)), names)
        axis.set(xlim=(0, 1.14 * most), xlabel="% of one pCPU", title=f"CPU shares: predicted, and {where}")
        axis.invert_yaxis()
        axis.grid(axis="y", visible=False)
        figure.legend(loc="outside lower center", ncols=2)
        told_of = "; ".join(
            f"{name} {100 * predicted[name]:.1f} % and {100 * measured[name]:.1f} %" for name in names
        )
        show(figure, f"Shares of one pCPU predicted by the model, and {where}: {told_of}.")


def show_fidelity(table: pd.DataFrame) -> None:
    """Show measured shares against predicted ones, a point for each guest; `table` as `fidelity.compare` returns it."""
    show(*fidelity_figure(table))


def fidelity_figure(table: pd.DataFrame) -> tuple[Any, str]:
    """Draw that figure; return it and its description."""
    import matplotlib.pyplot as plt

    with figures():
        figure, axis = plt.subplots(figsize=(5.4, 5.0))
        axis.plot([0, 200], [0, 200], color=PALETTE["grey"], linewidth=1)
        for (scheduler, pcpus), rows in table.groupby(["scheduler", "pCPUs"]):
            axis.scatter(
                rows.predicted,
                rows.measured,
                color=PALETTE["blue" if scheduler == "credit" else "vermilion"],
                marker="o" if pcpus == 1 else "s",
                s=34,
                alpha=0.8,
                label=f"{scheduler}, {pcpus} pCPU{'' if pcpus == 1 else 's'}",
            )
        most = 1.06 * max(table.predicted.max(), table.measured.max())
        axis.set(
            xlim=(0, most),
            ylim=(0, most),
            xlabel="predicted by the model, % of one pCPU",
            ylabel="measured on Xen, %",
        )
        axis.set_title("CPU shares, model against Xen")
        axis.legend()
    errors = table.error.abs()
    described = (
        f"Measured against predicted CPU shares of {len(table)} guests in {table.configuration.nunique()} "
        f"configurations lie along the diagonal: the median difference is {errors.median():.1f} percentage points, "
        f"the largest {errors.max():.1f}."
    )
    return figure, described
