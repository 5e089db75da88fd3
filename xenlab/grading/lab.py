"""A lab as its instructor writes it: one master notebook, in which comment lines say what each cell is.

The first line of a code cell is its marker. It survives copying, retyping and every editor:

* ``# STUDENT`` the cell that says whose notebook this is, and makes the student's seed from it;
* ``# TASK name`` an answer cell; what stands between ``### BEGIN SOLUTION`` and ``### END SOLUTION`` is cut
  out of the student's notebook;
* ``# CHECK name (2 points)`` a check that the student has as well;
* ``# HIDDEN name (1 point)`` a check that only the instructor has.

A check prints evidence: plain values as JSON (`xenlab.grading.evidence`). It never judges. What the same cell
prints under the master's solutions is the reference, and nbval compares the two. Lines ``# HINT: …`` below the
marker of a check are what a student reads whose evidence differs.

In all cells ``SEED`` is a number to make problems from; which one is told in `xenlab.grading.seeds`. Answers see the
student's own, a public check always the same, a hidden check the exam's: so write the checks as if there were one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import nbformat

from xenlab.commands import XenlabError

Notebook = Any  # nbformat.NotebookNode, which is not typed
MASTER = "master.ipynb"

_MARKER = re.compile(
    r"^# (?P<kind>STUDENT|TASK|CHECK|HIDDEN)\b *(?P<task>[a-z][a-z0-9-]*)? *"
    r"(?:\((?P<points>\d+(?:\.\d+)?) points?\))?\s*$"
)
_LIKE_A_MARKER = re.compile(r"#\s*(STUDENT|TASK|CHECK|HIDDEN)\b", re.IGNORECASE)
_HINT = re.compile(r"^# HINT: (.+)$", re.MULTILINE)


class BadLab(XenlabError, ValueError):
    """A master notebook that breaks the rules of a lab."""


@dataclass(frozen=True)
class Marker:
    """What a code cell says it is: its kind, the task it belongs to, the points it is worth.

    >>> Marker.of("# CHECK offender (2 points)\\nevidence(offender)")
    Marker(kind='CHECK', task='offender', points=2.0)
    >>> Marker.of("x = 1") is None
    True
    """

    kind: str
    task: str
    points: float

    @classmethod
    def of(cls, source: str) -> Self | None:
        """Read the first line of a cell's source; None if it is no marker."""
        found = _MARKER.match(source.split("\n", 1)[0])
        if found is None:
            return None
        return cls(found["kind"], found["task"] or "", float(found["points"] or 0))


@dataclass(frozen=True)
class Check:
    """One check of a task: the id of its cell, its points, whether students have it, and the hints it gives."""

    cell: str
    task: str
    points: float
    hidden: bool
    hints: tuple[str, ...]


@dataclass(frozen=True)
class Task:
    """One task: its name, the ids of its answer cells, and its checks in their order."""

    name: str
    answers: tuple[str, ...]
    checks: tuple[Check, ...]

    @property
    def points(self) -> float:
        """What the task is worth: the points of its checks together."""
        return sum(check.points for check in self.checks)


@dataclass(frozen=True)
class Lab:
    """A lab: its name, its notebook (the master, or the student's with the public checks alone), and its tasks."""

    name: str
    notebook: Notebook
    tasks: tuple[Task, ...]

    @property
    def points(self) -> float:
        """What the whole lab is worth."""
        return sum(task.points for task in self.tasks)

    @property
    def checks(self) -> dict[str, Check]:
        """All checks, by the id of their cell."""
        return {check.cell: check for task in self.tasks for check in task.checks}

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a lab's notebook; the lab has the name of its folder.

        Raises `BadLab` if the notebook breaks a rule: a check of no task, two cells of one id, a check without
        points, a marker that is misspelt.
        """
        return cls.of(path.resolve().parent.name, nbformat.read(path, as_version=4))

    @classmethod
    def of(cls, name: str, notebook: Notebook) -> Self:
        """Take a notebook as a lab; raises `BadLab` as `read` does."""
        _refuse_twins(notebook)
        _refuse_misspelt(notebook)
        answers: dict[str, list[str]] = {}
        checks: dict[str, list[Check]] = {}
        for cell, marker in marked(notebook):
            if marker.kind == "TASK":
                answers.setdefault(marker.task, []).append(cell.id)
            elif marker.kind in ("CHECK", "HIDDEN"):
                checks.setdefault(marker.task, []).append(_check(cell, marker))
        for task in checks.keys() - answers.keys():
            raise BadLab(f"task {task!r} has checks and no answer cell: mark one with `# TASK {task}`")
        tasks = tuple(
            Task(task, tuple(cells), tuple(checks.get(task, ()))) for task, cells in answers.items()
        )
        return cls(name, notebook, tasks)


def marked(notebook: Notebook) -> Iterator[tuple[Any, Marker]]:
    """Go through the code cells that bear a marker."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and (marker := Marker.of(cell.source)) is not None:
            yield cell, marker


def _check(cell: Any, marker: Marker) -> Check:
    if marker.points <= 0:
        raise BadLab(f"check {cell.id} of task {marker.task!r} must be worth something: `(1 point)`")
    return Check(
        cell.id, marker.task, marker.points, marker.kind == "HIDDEN", tuple(_HINT.findall(cell.source))
    )


def _refuse_twins(notebook: Notebook) -> None:
    seen: set[str] = set()
    for cell in notebook.cells:
        if cell.id in seen:
            raise BadLab(f"two cells have the id {cell.id!r}: give one of them another")
        seen.add(cell.id)


def _refuse_misspelt(notebook: Notebook) -> None:
    """Refuse a first line that looks like a marker and is none: its cell would count for nothing, unnoticed."""
    for cell in notebook.cells:
        first = cell.source.split("\n", 1)[0]
        if cell.cell_type == "code" and _LIKE_A_MARKER.match(first) and Marker.of(first) is None:
            raise BadLab(
                f"cell {cell.id} begins with {first!r}: write `# TASK name` or `# CHECK name (1 point)`"
            )
