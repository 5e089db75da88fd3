"""What a student can ask before handing in: the public checks, run and judged as the grader does.

A student has no master. So the notebook as it was given out holds, in the metadata of each public check, the evidence
that is expected and the check's digest: both outlive running the cells and clearing their outputs.
"""

from __future__ import annotations

import ast
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from xenlab.grading import sandbox as sandboxes
from xenlab.grading.evidence import MIME
from xenlab.grading.grade import compare, read
from xenlab.grading.jail import Limits
from xenlab.grading.judge import Outputs
from xenlab.grading.lab import BadLab, Lab, Marker, Notebook, marked
from xenlab.grading.rebuild import rebuild
from xenlab.grading.release import KEPT, source_digest
from xenlab.grading.results import Result, State
from xenlab.grading.seeds import EXAMPLE

_SIGNS = {State.PASS: "✓", State.PARTIAL: "◐", State.SKIPPED: "–"}


def check(path: Path, limits: Limits | None = None) -> Result:
    """Run the public checks of a student's notebook; raises `BadLab` if it is none, `OSError` if it cannot be read.

    The points are those of the public checks alone.
    """
    began = time.monotonic()
    digest, notebook, problem = read(path)
    if notebook is None:
        raise BadLab(f"{path}: {problem}")
    lab = Lab.of(path.resolve().parent.name, notebook)
    rebuilt = rebuild(lab, notebook, student_of(notebook))
    sandbox = sandboxes.best()
    tasks, notes = compare(lab, rebuilt, dict(_expected(lab)), sandbox, limits or Limits())
    seconds = round(time.monotonic() - began, 3)
    return Result(
        student_of(notebook), lab.name, digest, tasks, (*notes, *_changed(lab)), None, seconds, sandbox.words
    )


def student_of(notebook: Notebook) -> str:
    """Return the number that a notebook's STUDENT cell gives, or the example's."""
    for cell, marker in marked(notebook):
        if marker.kind == "STUDENT":
            return _assigned(cell.source) or EXAMPLE
    return EXAMPLE


def unsaved(path: Path, run: Iterable[str]) -> bool:
    """Whether an answer that was run last in a kernel is not in the file: it must be saved first.

    >>> unsaved(Path("no-such-file.ipynb"), [])
    False
    """
    last = {marker.task: text for text in run if (marker := Marker.of(text)) and marker.kind == "TASK"}
    if not last:
        return False
    _, notebook, _ = read(path)
    saved = {cell.source.strip() for cell in notebook.cells} if notebook is not None else set()
    return any(text.strip() not in saved for text in last.values())


def as_text(result: Result) -> str:
    """Say in a few lines how each task stands, and what to look at."""
    lines = [f"{result.lab}: {result.points:g} of {result.possible:g} points in the checks that you have"]
    for task in result.tasks:
        sign = _SIGNS.get(task.state, "✗")
        lines.append(f"{sign} {task.task}: {task.state}, {task.points:g} of {task.possible:g}")
        for one in task.checks:
            lines += [f"    {line}" for line in one.feedback.splitlines()]
    return "\n".join((*lines, *(f"! {note}" for note in result.notes)))


def _expected(lab: Lab) -> Iterator[tuple[str, Outputs]]:
    for cell in lab.notebook.cells:
        if cell.id in lab.checks:
            yield cell.id, [_output(line) for line in _kept(cell)["evidence"]]


def _kept(cell: Any) -> dict[str, Any]:
    kept = cell.metadata.get(KEPT, {})
    if not {"evidence", "source"} <= kept.keys():
        raise BadLab(f"check {cell.id} has lost what is expected of it: get the lab's notebook anew")
    return dict(kept)


def _output(line: str) -> dict[str, Any]:
    return {"output_type": "display_data", "data": {"text/plain": line, MIME: line}, "metadata": {}}


def _changed(lab: Lab) -> Iterator[str]:
    for cell in lab.notebook.cells:
        if cell.id in lab.checks and _kept(cell)["source"] != source_digest(cell.source):
            yield f"check {cell.id} is not as it was given out: when you are graded, it will be"


def _assigned(source: str) -> str | None:
    """Return the text that a cell gives the name STUDENT."""
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return None
    for line in body:
        match line:
            case ast.Assign(targets=[ast.Name(id="STUDENT")], value=ast.Constant(value=str(student))):
                return student
    return None
