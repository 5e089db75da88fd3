"""Write what a class has earned: tables for machines and learning platforms, a page for each student and one for all.

All of it is made from the results in the store alone, so `xenlab report` makes it anew at any time.
"""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from xenlab.grading import overview
from xenlab.grading.results import State
from xenlab.grading.store import Entry, Store, write

DEGRADED = "NO SANDBOX"  # how the words of a sandbox begin that is none
WORDS = {
    State.PASS: "passed",
    State.PARTIAL: "partly right",
    State.FAIL: "not yet right",
    State.ERROR: "raised an error",
    State.TIMEOUT: "did not end in time",
    State.CRASH: "the kernel died",
    State.OUTPUT_LIMIT: "printed too much",
    State.SKIPPED: "not run",
}
MARKS = dict(zip(WORDS, "✓ ◐ ✗ ! ∞ † ≡ –".split(), strict=True))

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")

Row = Sequence[str | float]


def report(folder: Path) -> Path:
    """Write the reports of the batch in a folder; returns the class's page.

    Raises `XenlabError` if the folder holds no results.
    """
    entries = Store(folder).entries()
    write(folder / "grades.json", json.dumps([entry.to_json() for entry in entries], indent=1))
    write(folder / "grades.csv", table(_grades(entries)))
    for system, rows in (("moodle", _moodle), ("canvas", _canvas)):
        if of_system := [entry for entry in entries if entry.system == system]:
            write(folder / f"{system}.csv", table(rows(of_system)))
    pages = {f"{entry.result.student}.html": entry for entry in entries}
    for name, entry in pages.items():
        write(folder / "feedback" / name, student_page(entry))
    for old in (folder / "feedback").glob("*.html"):
        if old.name not in pages:
            old.unlink()
    write(folder / "report.html", class_page(entries))
    return folder / "report.html"


def student_page(entry: Entry) -> str:
    """Return the page that a student gets: complete in itself, and safe whatever the notebook printed."""
    return _templates().get_template("student.html").render(entry=entry, lab=entry.result.lab)


def class_page(entries: Sequence[Entry]) -> str:
    """Return the page about the class; its first line says so where the sandbox was none."""
    return (
        _templates()
        .get_template("class.html")
        .render(
            lab=entries[0].result.lab if entries else "",
            degraded="; ".join(degraded(entries)),
            sandboxes=_sandboxes(entries),
            summary=overview.summary(entries),
            figures=overview.figures(entries, WORDS),
            checks=overview.by_check(entries, WORDS),
            tasks=[task.task for task in entries[0].result.tasks] if entries else [],
            entries=entries,
        )
    )


def degraded(entries: Sequence[Entry]) -> list[str]:
    """Return what must be said first: the words of each sandbox that is none, in which something was graded."""
    return [words for words in _sandboxes(entries) if words.startswith(DEGRADED)]


def _sandboxes(entries: Sequence[Entry]) -> list[str]:
    return sorted({entry.result.sandbox for entry in entries if entry.result.problem is None})


def table(rows: Iterable[Row]) -> str:
    """Return rows as CSV in which no cell is a formula to a spreadsheet.

    >>> table([("=1+1", 2.5), ("a\\nb", 3.0)])
    "'=1+1,2.5\\r\\na b,3\\r\\n"
    """
    text = io.StringIO()
    csv.writer(text).writerows([_cell(each) for each in row] for row in rows)
    return text.getvalue()


def _cell(value: str | float) -> str:
    if not isinstance(value, str):
        return points(value)
    return ("'" if _FORMULA.match(value) else "") + " ".join(plain(value).split())


def _grades(entries: Sequence[Entry]) -> Iterable[Row]:
    tasks = [task.task for task in entries[0].result.tasks] if entries else []
    yield [
        "student",
        "name",
        "number",
        "points",
        "possible",
        *tasks,
        *(f"{task} state" for task in tasks),
        "remarks",
    ]
    for entry in entries:
        result = entry.result
        earned = [task.points for task in result.tasks]
        states = [str(task.state) for task in result.tasks]
        remarks = "; ".join(filter(None, [result.problem, *result.notes]))
        yield [
            result.student,
            entry.name,
            entry.number,
            result.points,
            result.possible,
            *earned,
            *states,
            remarks,
        ]


def _moodle(entries: Sequence[Entry]) -> Iterable[Row]:
    """What Moodle's "Upload grading worksheet" reads (mod/assign/feedback/offline/importgradeslib.php)."""
    yield ["Identifier", "Full name", "Grade", "Maximum Grade", "Last modified (grade)", "Feedback comments"]
    for entry in entries:
        told = [
            f"{task.task}: {points(task.points)} of {points(task.possible)}" for task in entry.result.tasks
        ]
        comment = html.escape("; ".join([*filter(None, [entry.result.problem]), *told]))
        result = entry.result
        yield [f"Participant {entry.number}", entry.name, result.points, result.possible, "", comment]


def _canvas(entries: Sequence[Entry]) -> Iterable[Row]:
    """What Canvas's gradebook imports (lib/gradebook_importer.rb): it finds students by their number."""
    possible = max(entry.result.possible for entry in entries)
    yield ["Student", "ID", "Section", entries[0].result.lab]
    yield ["    Points Possible", "", "", possible]
    for entry in entries:
        yield [entry.name, entry.number, "", entry.result.points]


def plain(text: str) -> str:
    """Show characters that would not be seen, or would turn a line round, as what they are: strangers."""
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text)


def points(value: float) -> str:
    """Write points without a needless fraction.

    >>> points(2.0), points(1 / 3)
    ('2', '0.33')
    """
    return f"{round(value, 2):g}"


def _state(state: State) -> Markup:
    return Markup('<span class="state {}"><span aria-hidden="true">{}</span> {}</span>').format(
        state, MARKS[state], WORDS[state]
    )


@cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    )
    environment.filters.update(plain=plain, points=points)
    shared: dict[str, Any] = {"state": _state, "words": WORDS, "marks": MARKS}
    environment.globals.update(shared)
    return environment
