"""Full virtualization on the page: exits one by one, shadows filling, a walk through two tables, exits compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import traitlets

from xenlab.emulation.assembler import Program
from xenlab.emulation.mmu import Reference
from xenlab.fullvirt.compare import GROUPS, Outcome, grouped
from xenlab.fullvirt.guestos import image
from xenlab.fullvirt.monitor import Monitor
from xenlab.fullvirt.story import HEAP, Look, Moment, flags, heap, moments
from xenlab.fullvirt.walk import DEEPEST, Walk, walk
from xenlab.fullvirt.xentrace import Exits
from xenlab.ui.bars import counts_figure, parts_figure
from xenlab.ui.figure import show
from xenlab.ui.player import PLAYER_JS, Player
from xenlab.ui.text import to_html
from xenlab.ui.widget import source

_HERE = Path(__file__).parent
_CSS = source("theme.css", _HERE / "view.css")
#: Exits that the page shows.
MOST = 260


class UnderMonitor(Player):
    """A guest under a monitor, one exit a moment: what it was about, and what the monitor did.

    `monitor` must be fresh. `program` is what the guest runs, the book's system if it is left out. The first 260 exits
    are shown, and the last one.

    >>> from xenlab.fullvirt.assisted import Assisted
    >>> under = UnderMonitor(Assisted())
    >>> under.step(3)
    'Exit 3 after 6 instructions: out 0x3f8, r9 in the guest’s kernel. The monitor: done to the virtual device.'
    """

    _esm = PLAYER_JS + source(_HERE / "monitored.js")
    _css = _CSS
    name = traitlets.Unicode().tag(sync=True)
    groups: traitlets.List[str] = traitlets.List(traitlets.Unicode()).tag(sync=True)
    steps: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)

    def __init__(self, monitor: Monitor, program: Program | None = None) -> None:
        monitor.load(program or image())
        trace = list(moments(monitor))
        shown = [*enumerate(trace, start=1)]
        if len(shown) > MOST:
            shown = [*shown[: MOST - 1], shown[-1]]
        super().__init__(
            [
                "The guest is about to boot. Press *Play*, or step with the arrow keys.",
                *(_exit_caption(number, each, len(trace)) for number, each in shown),
            ],
            name=monitor.name,
            groups=list(GROUPS),
            steps=[_exit_step(number, each) for number, each in shown],
            period=900,
        )

    def picture(self) -> str:
        """Return the exits by what they are about, and the first of them in words."""
        counted = self.steps[-1]["counts"]
        rows = "".join(f"<tr><td>{group}</td><td>{count}</td></tr>" for group, count in counted.items())
        told = "".join(f"<li>{caption}</li>" for caption in self.captions[1:21])
        return f"<table>{rows}</table><ol>{told}</ol><p>… {self.steps[-1]['number']} exits in all.</p>"


def _exit_step(number: int, each: Moment) -> dict[str, Any]:
    return {
        "number": number,
        "at": each.exit.at,
        "pc": f"{each.exit.pc:#05x}",
        "instruction": each.exit.instruction,
        "was": "kernel" if each.exit.in_kernel else "task",
        "reason": each.exit.reason,
        "done": each.exit.done,
        "mode": "supervisor" if each.supervisor else "user",
        "interrupts": "let in" if each.interrupts else "kept out",
        "root": f"frame {each.root:#x}" if each.root else "off",
        "counts": grouped(each.counts),
        "console": each.console,
    }


def _exit_caption(number: int, each: Moment, total: int) -> str:
    what = f"`{each.exit.instruction}`" if each.exit.instruction else f"*{each.exit.reason}*"
    where = "in the guest’s kernel" if each.exit.in_kernel else "in a task"
    last = " The guest has stopped." if number == total else ""
    return f"Exit {number} after {each.exit.at:,} instructions: {what} {where}. The monitor: {each.exit.done}.{last}"


class ShadowHeap(Player):
    """Shadow page tables as they fill: the heap of the guest's first task, page by page.

    >>> ShadowHeap().step(1)
    'The task stores to page 0x90. Neither table has it. The fault is the guest’s own: its kernel is called.'
    """

    _esm = PLAYER_JS + source(_HERE / "shadow.js")
    _css = _CSS
    steps: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)

    def __init__(self) -> None:
        looks = heap()
        super().__init__(
            [
                "The task has touched nothing yet. Press *Play*, or step with the arrow keys.",
                *map(_look_caption, looks),
            ],
            steps=[_look_step(look) for look in looks],
            period=2200,
        )

    def picture(self) -> str:
        """Return the tables as they are in the end, and how they came to be so in words."""
        rows = "".join(
            f"<tr><td>{row['page']}</td><td>{row['guest']}</td><td>{row['real']}</td><td>{row['shadow']}</td></tr>"
            for row in self.steps[-1]["rows"]
        )
        told = "".join(f"<li>{caption}</li>" for caption in self.captions[1:])
        head = "<tr><th>page</th><th>guest’s table</th><th>real frame</th><th>shadow</th></tr>"
        return f"<table>{head}{rows}</table><ol>{told}</ol>"


def _page_name(number: int) -> str:
    return f"{(HEAP >> 4) + number:#x}"


def _look_step(look: Look) -> dict[str, Any]:
    rows = [
        {
            "page": _page_name(number),
            "guest": f"frame {guest >> 4:#x} · {flags(guest)}" if guest else "–",
            "real": f"{real:#x}" if real is not None else "–",
            "shadow": f"frame {shadow >> 4:#x} · {flags(shadow)}" if shadow else "–",
        }
        for number, (guest, real, shadow) in enumerate(zip(look.guest, look.real, look.shadow, strict=True))
    ]
    return {"what": look.what, "page": look.page, "at": look.at, "rows": rows}


def _look_caption(look: Look) -> str:
    page = f"`{_page_name(look.page)}`"
    if look.what == "fault":
        own = "The fault is **the guest’s own**: its kernel is called."
        return f"The task stores to page {page}. Neither table has it. {own}"
    if look.what == "write":
        return (
            f"The guest’s kernel writes the entry for page {page}. The table is mapped read-only: "
            "**the monitor** does the store, and would drop what the shadow has of it."
        )
    return (
        f"The task tries page {page} again. The guest’s table has it, the shadow has not. "
        "**The monitor** fills it in, and the guest never hears of it."
    )


class TwoStageWalk(Player):
    """One address, translated: every memory reference of the walk, numbered; `levels` and `nested` have sliders.

    >>> two = TwoStageWalk()
    >>> two.describe().splitlines()[-1]
    '  25. Reference 24: level 4 of the nested table, for the page itself. The word is found: 24 references.'
    >>> two.nested = 0
    >>> len(two.captions) - 1
    4
    """

    needs_kernel = ".sliders input"
    _esm = PLAYER_JS + source(_HERE / "walk.js")
    _css = _CSS
    levels = traitlets.Int(4, min=1, max=DEEPEST).tag(sync=True)
    nested = traitlets.Int(4, min=0, max=DEEPEST).tag(sync=True)
    address = traitlets.Unicode().tag(sync=True)
    cells: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)

    def __init__(self, levels: int = 4, nested: int = 4) -> None:
        found = walk(levels, nested)
        super().__init__(
            _walk_captions(found), levels=levels, nested=nested, period=500, **_walk_traits(found)
        )
        self.observe(self._walk, ["levels", "nested"])

    def _walk(self, change: object) -> None:
        found = walk(self.levels, self.nested)
        self._captions = _walk_captions(found)
        with self.hold_sync():
            self.moment = 0
            for name, value in _walk_traits(found).items():
                setattr(self, name, value)
            self.captions = [to_html(caption) for caption in self._captions]

    def picture(self) -> str:
        """Return every reference in words."""
        return "<ol>" + "".join(f"<li>{caption}</li>" for caption in self.captions[1:]) + "</ol>"


def _walk_traits(found: Walk) -> dict[str, Any]:
    cells = [
        {
            "row": (each.level if each.table == "guest" else each.for_level) - 1,
            "column": each.level - 1 if each.table == "nested" else found.nested,
            "entry": f"{each.entry:#x}",
        }
        for each in found.references
    ]
    return {"address": f"{found.address:#x}", "cells": cells}


def _walk_captions(found: Walk) -> list[str]:
    count = len(found.references)
    first = f"Where is address `{found.address:#x}`? Press *Play*, or step with the arrow keys."
    told = [_reference(number, each, found) for number, each in enumerate(found.references, start=1)]
    told[-1] += f" The word is found: **{count} references**."
    return [first, *told]


def _reference(number: int, each: Reference, found: Walk) -> str:
    if each.table == "guest":
        return f"Reference {number}: level {each.level} of the guest’s table."
    page_itself = each.for_level > found.levels
    where = "for the page itself" if page_itself else f"to find level {each.for_level} of the guest’s"
    return f"Reference {number}: level {each.level} of the nested table, {where}."


def show_exits(outcomes: Sequence[Outcome]) -> None:
    """Draw the exits under each monitor, by what they are about."""
    done = [each for each in outcomes if each.total]
    counted = [grouped(each.exits) for each in done]
    groups = list(dict.fromkeys(group for each in counted for group in each))
    figure = parts_figure(
        [each.name for each in done],
        {group: [each.get(group, 0) for each in counted] for group in groups},
        ("blue", "sky", "orange", "green", "grey"),
        "exits in the guest's whole life (model)",
        columns=2,
    )
    told = "; ".join(
        f"{each.name}: {each.total} exits, of them "
        + ", ".join(f"{count} for {group}" for group, count in found.items() if count)
        for each, found in zip(done, counted, strict=True)
    )
    show(figure, f"Exits of the same guest under each monitor. {told}.")


def show_real_exits(found: Exits, title: str, *, simulated: bool) -> None:
    """Draw a real guest's exits by the processor's reason, on a scale of powers of ten."""
    shown = found.by_reason.most_common(10)
    figure = counts_figure(shown, f"exits{' (simulated)' if simulated else ''}", title=title)
    told = "; ".join(f"{reason}: {count:,}" for reason, count in shown)
    label = "Simulated. " if simulated else ""
    lost = f" Xen lost {found.lost:,} records." if found.lost else ""
    show(figure, f"{label}{title}: {found.total:,} exits. {told}.{lost}")
