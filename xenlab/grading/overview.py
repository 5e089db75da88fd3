"""What a class's results say together: which checks were failed, how, and by how many. Tables, figures, their words."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import MaxNLocator

from xenlab.grading.results import CheckResult, State
from xenlab.grading.store import Entry
from xenlab.ui import theme

_LOOKS = {
    State.FAIL: (theme.PALETTE["vermilion"], ""),
    State.ERROR: (theme.PALETTE["orange"], "//"),
    State.TIMEOUT: (theme.PALETTE["sky"], ".."),
    State.CRASH: (theme.PALETTE["purple"], "xx"),
    State.OUTPUT_LIMIT: (theme.PALETTE["yellow"], "||"),
    State.SKIPPED: (theme.PALETTE["grey"], "--"),
}


@dataclass(frozen=True)
class Figure:
    """A figure as a PNG in base 64, and the words that say what it shows."""

    title: str
    alt: str
    png: str


@dataclass(frozen=True)
class CheckRow:
    """One check over the whole class."""

    task: str
    label: str
    possible: float
    passed: int
    run: int
    otherwise: str
    told: str


def label(check: CheckResult, place: int) -> str:
    """Name a check by its place in its task."""
    return f"{'hidden check' if check.hidden else 'check'} {place}"


def frame(entries: Sequence[Entry]) -> pd.DataFrame:
    """Return one row for each check of each student."""
    return pd.DataFrame(
        [
            (
                entry.result.student,
                task.task,
                label(check, place),
                str(check.state),
                check.possible,
                check.feedback,
            )
            for entry in entries
            for task in entry.result.tasks
            for place, check in enumerate(task.checks, 1)
        ],
        columns=["student", "task", "check", "state", "possible", "feedback"],
    )


def summary(entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """Return what there is to say of the class in a few numbers."""
    earned = pd.Series([entry.result.points for entry in entries], dtype=float)
    possible = max((entry.result.possible for entry in entries), default=0.0)
    unread = sum(entry.result.problem is not None for entry in entries)
    seconds = [entry.result.seconds for entry in entries if entry.result.problem is None]
    found = [("submissions", str(len(entries))), ("could not be graded", str(unread))]
    if entries:
        found += [
            ("mean", f"{earned.mean():.1f} of {possible:g} points"),
            ("median", f"{earned.median():g}"),
            ("seconds a submission", f"{pd.Series(seconds, dtype=float).median():.2f}" if seconds else "–"),
        ]
    return found


def by_check(entries: Sequence[Entry], words: Mapping[State, str]) -> list[CheckRow]:
    """Return the checks in the lab's order, with how many passed and what most of the others were told."""
    rows = []
    for (task, check), group in frame(entries).groupby(["task", "check"], sort=False):
        states = Counter(group.state)
        passed = states.pop(str(State.PASS), 0)
        others = ", ".join(f"{words[State(state)]} {count}" for state, count in states.most_common())
        wrong = group[group.state != str(State.PASS)].feedback
        told = Counter(" ".join(" ".join(text.strip().split("\n")[:2]).split()) for text in wrong)
        del told[""]
        most = "".join(f"{count}× {text[:160]}" for text, count in told.most_common(1))
        rows.append(
            CheckRow(str(task), str(check), float(group.possible.iloc[0]), passed, len(group), others, most)
        )
    return rows


def figures(entries: Sequence[Entry], words: Mapping[State, str]) -> list[Figure]:
    """Draw the failures by task and check, and the points; nothing for a class without a submission."""
    if not entries:
        return []
    return [_failures(frame(entries), words), _points(entries)]


def _failures(checks: pd.DataFrame, words: Mapping[State, str]) -> Figure:
    counts = checks.groupby(["task", "check", "state"], sort=False).size().unstack(fill_value=0)
    wrong = counts.reindex(columns=[str(state) for state in _LOOKS], fill_value=0)
    total = int(checks.student.nunique())
    alt = _said(wrong, total)
    with theme.figures():
        figure = Drawing(figsize=(8, 1.2 + 0.32 * len(wrong)), dpi=110, layout="constrained")
        axes = figure.subplots()
        left = pd.Series(0, index=wrong.index)
        names = [f"{task}: {check}" for task, check in wrong.index]
        for state, (colour, hatch) in _LOOKS.items():
            widths = wrong[str(state)]
            if widths.any():
                axes.barh(
                    names,
                    widths,
                    left=left,
                    color=colour,
                    hatch=hatch,
                    edgecolor=theme.LIGHT,
                    label=words[state],
                )
                left = left + widths
        axes.set_xlim(0, total)
        axes.set_xlabel("submissions that did not pass")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        if left.any():
            figure.legend(loc="outside upper left", ncols=3)
        return Figure("Failures by task and check", alt, _png(figure))


def _said(wrong: pd.DataFrame, total: int) -> str:
    """What the picture of the failures shows."""
    names = [f"{task}, {check}" for task, check in wrong.index]
    each = dict(zip(names, wrong.sum(axis=1).tolist(), strict=True))
    name, most = max(each.items(), key=lambda item: item[1])
    if not most:
        return f"Of {total} submissions none failed a check."
    nobody = sum(count == 0 for count in each.values())
    spared = (
        f"Nobody failed {nobody} of the {len(each)} checks."
        if nobody
        else "Each check was failed by somebody."
    )
    return f"Failures by check, of {total} submissions. Most failed {name}: {most}. {spared}"


def _points(entries: Sequence[Entry]) -> Figure:
    earned = pd.Series([entry.result.points for entry in entries], dtype=float)
    possible = max(max(entry.result.possible for entry in entries), 1.0)
    full, none = int((earned >= possible).sum()), int((earned == 0).sum())
    alt = (
        f"Points: {full} of {len(earned)} submissions have all {possible:g}, {none} have none; "
        f"the median is {earned.median():g}."
    )
    with theme.figures():
        figure = Drawing(figsize=(8, 2.6), dpi=110, layout="constrained")
        axes = figure.subplots()
        axes.hist(earned, bins=min(20, max(5, round(possible))), range=(0, possible), edgecolor=theme.LIGHT)
        axes.set_xlabel("points")
        axes.set_ylabel("submissions")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="x", visible=False)
        return Figure("Points", alt, _png(figure))


def _png(figure: Any) -> str:
    data = io.BytesIO()
    figure.savefig(data, format="png")
    return base64.b64encode(data.getvalue()).decode()
