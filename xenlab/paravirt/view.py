"""Paravirtualization on the page: a kernel's port, a guest that talks with Xen, costs, and the paper's tables."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import traitlets

from xenlab.fullvirt.guestos import KERNEL
from xenlab.paravirt.compare import Outcome
from xenlab.paravirt.entries import Entries
from xenlab.paravirt.port import BATCHED, PORTED, counted, difference
from xenlab.paravirt.sosp03 import EXHIBITS, LINUX, UML, VMWARE, XEN
from xenlab.paravirt.trials import COSTS, TIMES, Trial
from xenlab.ui.bars import counts_figure, parts_figure
from xenlab.ui.figure import show
from xenlab.ui.player import PLAYER_JS, Player
from xenlab.ui.widget import Widget, source

_HERE = Path(__file__).parent
_CSS = source("theme.css", _HERE / "view.css")


class Port(Widget):
    """What was changed in the guest's kernel, line by line: for the hypercalls, and then for batches of them.

    >>> "-        rdsr r8, tval" in Port().describe()
    True
    """

    _esm = source("parts.js", _HERE / "port.js")
    _css = _CSS
    versions: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    #: Number of the version that is shown.
    chosen = traitlets.Int(0).tag(sync=True)

    def __init__(self) -> None:
        changes = {"for hypercalls": difference(KERNEL, PORTED), "for batches": difference(PORTED, BATCHED)}
        super().__init__(
            versions=[
                {
                    "name": name,
                    "out": counted(lines)[0],
                    "in": counted(lines)[1],
                    "lines": [{"sign": line.sign, "text": line.text} for line in lines],
                }
                for name, lines in changes.items()
            ]
        )

    def describe(self) -> str:
        """Return both differences."""
        parts = []
        for each in self.versions:
            parts.append(f"{each['name']}: {each['out']} lines out, {each['in']} lines in")
            parts += [f"{line['sign']}{line['text']}" for line in each["lines"]]
        return "\n".join(parts)

    def picture(self) -> str:
        """Return both differences, preformatted."""
        return f"<pre>{html.escape(self.describe())}</pre>"


class Conversation(Player):
    """A guest's kernel tries one thing after the other, and Xen or the processor answers.

    `answers` are those of `xenlab.paravirt.trials.tried` for these trials, by what was tried. `simulated` says whether
    a model answered.
    """

    _esm = PLAYER_JS + source(_HERE / "conversation.js")
    _css = _CSS
    rows: traitlets.List[dict[str, str]] = traitlets.List().tag(sync=True)
    source_of = traitlets.Unicode().tag(sync=True)

    def __init__(self, trials: Sequence[Trial], answers: Mapping[str, str], simulated: bool) -> None:
        captions = [f"**{each.what}**: `{answers[each.what]}`. {each.why}" for each in trials]
        super().__init__(
            ["The guest's kernel is about to begin. Press *Play*, or step with the arrow keys.", *captions],
            rows=[
                {"what": each.what, "answer": answers[each.what], "kind": _kind(answers[each.what])}
                for each in trials
            ],
            source_of="answers of a model of Xen" if simulated else "answers of a real Xen",
            period=3200,
        )

    def picture(self) -> str:
        """Return every trial with its answer."""
        rows = "".join(f"<li>{caption}</li>" for caption in self.captions[1:])
        return f"<p>These are {self.source_of}.</p><ol>{rows}</ol>"


def _kind(answer: str) -> str:
    """Was it granted (``done``), refused by Xen with an error (``refused``), or did it fault (``fault``)?"""
    if answer.startswith("#"):
        return "fault"
    return "refused" if answer.isalpha() and answer.isupper() and answer.startswith("E") else "done"


class Paper(Widget):
    """The figures and tables of the paper of 2003, from its numbers: every system against Linux alone.

    >>> paper = Paper()
    >>> paper.chosen = 4
    >>> paper.describe().splitlines()[5]
    'mmap: Linux 68 µs, Xen 139 µs (49 %), VMware 620 µs (11 %), UML 1400 µs (5 %)'
    """

    _esm = source("parts.js", _HERE / "paper.js")
    _css = _CSS
    exhibits: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    #: Number of the exhibit that is shown.
    chosen = traitlets.Int(0).tag(sync=True)

    def __init__(self, chosen: int = 0) -> None:
        super().__init__(
            exhibits=[
                {
                    "number": each.number,
                    "title": each.title,
                    "rows": [
                        {
                            "what": row.what,
                            "unit": row.unit,
                            "bars": [
                                {
                                    "system": name,
                                    "value": f"{row.values[name]:g}",
                                    "share": row.relative(name),
                                }
                                for name in (LINUX, XEN, VMWARE, UML)
                                if name in row.values
                            ],
                        }
                        for row in each.rows
                    ],
                }
                for each in EXHIBITS
            ],
            chosen=chosen,
        )

    def describe(self) -> str:
        """Return the chosen exhibit, a line a measurement."""
        each = self.exhibits[self.chosen]
        return "\n".join([f"{each['number']}: {each['title']}", *map(_bars_in_words, each["rows"])])

    def picture(self) -> str:
        """Return every exhibit as a list."""
        return "".join(
            f"<h3>{html.escape(each['number'])}: {html.escape(each['title'])}</h3><ul>"
            + "".join(f"<li>{html.escape(_bars_in_words(row))}</li>" for row in each["rows"])
            + "</ul>"
            for each in self.exhibits
        )


def _bars_in_words(row: Mapping[str, Any]) -> str:
    parts = (
        f"{bar['system']} {bar['value']} {row['unit']}"
        + ("" if bar["system"] == LINUX else f" ({100 * bar['share']:.0f} %)")
        for bar in row["bars"]
    )
    return f"{row['what']}: {', '.join(parts)}"


def show_monitors(outcomes: Sequence[Outcome]) -> None:
    """Draw the exits of the same guest under each monitor, by what they are about."""
    figure = parts_figure(
        [each.name for each in outcomes],
        {group: [each.grouped[group] for each in outcomes] for group in outcomes[0].grouped},
        ("vermilion", "orange", "blue", "grey", "sky", "green"),
        "exits in the guest's whole life (model)",
        columns=3,
    )
    told = "; ".join(f"{each.name} {each.total}" for each in outcomes)
    show(figure, f"Exits of the same guest under each monitor: {told}.")


def show_costs(answers: Mapping[str, str], *, simulated: bool) -> None:
    """Draw what one entry to Xen takes, by the way in, in cycles of the clock counter.

    `answers` are those of `xenlab.paravirt.trials.tried` for `COSTS`.
    """
    names = [each.what for each in COSTS]
    cycles = [int(answers[name], 16) / TIMES for name in names]
    figure = counts_figure(
        list(zip(names, cycles, strict=True)),
        f"cycles, for one of {TIMES:,}{' (simulated)' if simulated else ''}",
        colours=["vermilion" if "emulate" in name else "blue" for name in names],
        powers_of_ten=False,
    )
    told = "; ".join(f"{name}: {each:,.0f}" for name, each in zip(names, cycles, strict=True))
    show(figure, f"{'Simulated. ' if simulated else ''}Cycles that one entry to Xen takes. {told}.")


def show_entries(found: Entries, title: str, *, simulated: bool) -> None:
    """Draw a real guest's entries into Xen by kind, the most frequent first, on a scale of powers of ten."""
    shown = found.by_kind.most_common(10)
    figure = counts_figure(
        shown,
        f"entries into Xen{' (simulated)' if simulated else ''}",
        title=title,
        colours=["blue" if kind.startswith("hypercall") else "vermilion" for kind, _ in shown],
    )
    told = "; ".join(f"{kind}: {count:,}" for kind, count in shown)
    lost = f" Xen lost {found.lost:,} notes." if found.lost else ""
    show(
        figure,
        f"{'Simulated. ' if simulated else ''}{title}: {found.total:,} entries into Xen. {told}.{lost}",
    )


def table(trials: Sequence[Trial], answers: Mapping[str, str]) -> str:
    """Every trial and its answer, as a text of two columns."""
    wide = max(len(each.what) for each in trials)
    return "\n".join(f"{each.what:<{wide}}  {answers[each.what]}" for each in trials)
