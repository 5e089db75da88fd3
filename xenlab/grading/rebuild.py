"""Build the notebook that is graded: the lab's own, with nothing of the student's in it but their answers' source.

An answer is found by its cell's id, which survives everything but retyping, else by its first line, ``# TASK name``.
Outputs, tags, checks and text of what was handed in count for nothing. Each check begins with the seed that it is to
see, whatever the answers before it have done to the name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import nbformat

from xenlab.grading.lab import Lab, Marker, Notebook, Task, marked
from xenlab.grading.release import cut
from xenlab.grading.seeds import EXAMPLE, exam_seed, seed_of

LONGEST = 100_000  # characters of an answer


@dataclass(frozen=True)
class Rebuilt:
    """A notebook to run, the tasks for which nothing was handed in, and remarks on what was."""

    notebook: Notebook
    missing: tuple[str, ...]
    notes: tuple[str, ...]


def rebuild(lab: Lab, submitted: Notebook, student: str, secret: str = "") -> Rebuilt:
    """Put a student's answers into a lab's notebook, and the seeds of this student and of the exam.

    Where an answer is there twice, by id or by first line, the last one that is more than the stub counts. An answer
    in a cell that is no longer code counts too. A cell of the student's own is not run: what an answer needs stands in
    answer cells. All of this is said in the notes.
    """
    found = _Handed(lab, submitted)
    sources = {cell: source for task in lab.tasks for cell, source in found.answers_of(task)}
    notebook = with_seeds(lab, student, secret)
    for cell in notebook.cells:
        if cell.id in found.stubs:
            cell.source = sources.get(cell.id, "pass")
    missing = tuple(task.name for task in lab.tasks if not any(cell in sources for cell in task.answers))
    return Rebuilt(notebook, missing, (*found.notes, *_other_students(submitted, student)))


def with_seeds(lab: Lab, student: str, secret: str = "") -> Notebook:
    """Return a lab's notebook as it is run for a student: without outputs, each check with its seed.

    With the master's solutions in it, this is what makes the references.
    """
    notebook = nbformat.from_dict({**lab.notebook, "cells": [_fresh(cell) for cell in lab.notebook.cells]})
    own = seed_of(student)  # what the cells after a check see again
    seeds = {"CHECK": seed_of(EXAMPLE), "HIDDEN": exam_seed(lab.name, secret)}
    for cell, marker in marked(notebook):
        if marker.kind == "STUDENT":
            cell.source = student_cell(student)
        elif marker.kind in seeds:
            first, _, rest = cell.source.partition("\n")
            cell.source = f"{first}\nSEED = {seeds[marker.kind]}\n{rest}\nSEED = {own}"
    return notebook


def student_cell(student: str) -> str:
    """The source of the cell that says whose notebook it is.

    >>> print(student_cell("up202601234"))
    # STUDENT
    from xenlab.grading.seeds import seed_of
    <BLANKLINE>
    STUDENT = 'up202601234'  # your student number
    SEED = seed_of(STUDENT)
    """
    return (
        "# STUDENT\nfrom xenlab.grading.seeds import seed_of\n\n"
        f"STUDENT = {student!r}  # your student number\nSEED = seed_of(STUDENT)"
    )


def _fresh(cell: Any) -> dict[str, Any]:
    kept = {"cell_type": cell.cell_type, "id": cell.id, "metadata": {}, "source": cell.source}
    return {**kept, "outputs": [], "execution_count": None} if cell.cell_type == "code" else kept


class _Handed:
    """What was handed in: the sources that can be answers, and remarks."""

    def __init__(self, lab: Lab, submitted: Notebook) -> None:
        self.notes: list[str] = []
        self._by_id: defaultdict[str, list[tuple[int, Any]]] = defaultdict(list)
        self._by_name: defaultdict[str, list[tuple[int, Any]]] = defaultdict(list)
        own = {cell.id: cell for cell in lab.notebook.cells}
        #: The answer cells as they were handed out.
        self.stubs = {cell: cut(own[cell].source) for task in lab.tasks for cell in task.answers}
        for number, cell in enumerate(submitted.cells, 1):
            self._sort(own, number, cell)

    def _sort(self, own: dict[str, Any], number: int, cell: Any) -> None:
        """Find out what the `number`th cell is."""
        marker, name = Marker.of(cell.source), str(cell.get("id", ""))
        if name in self.stubs:
            self._by_id[name].append((number, cell))
        elif marker is not None and marker.kind == "TASK" and cell.source.strip():
            self._by_name[marker.task].append((number, cell))
        elif name in own:
            if _is_changed(own[name], cell):
                self.notes.append(f"cell {number} ({name}) was changed; it is graded as it was handed out")
        elif cell.cell_type == "code" and cell.source.strip():
            self.notes.append(
                f"cell {number} is none of the lab's own and was not run: put what an answer needs into its cell"
            )

    def answers_of(self, task: Task) -> Iterator[tuple[str, str]]:
        """Yield the id and the source of each answer cell of a task that was handed in."""
        spare = list(self._by_name[task.name])
        for cell_id in task.answers:
            alone = len(task.answers) == 1
            found = self._by_id[cell_id] + spare if alone else self._by_id[cell_id] or spare[:1]
            spare = [each for each in spare if each not in found]
            if not found:
                self.notes.append(f"the answer cell of task {task.name} ({cell_id}) is missing")
                continue
            yield cell_id, self._source(task, found, self.stubs[cell_id])

    def _source(self, task: Task, found: list[tuple[int, Any]], stub: str) -> str:
        answered = [each for each in found if each[1].source.strip() != stub.strip()] or found[-1:]
        _, cell = max(answered, key=lambda each: each[0])
        if len(answered) > 1:
            self.notes.append(f"task {task.name} was answered {len(answered)} times; the last answer counts")
        if cell.cell_type != "code":
            self.notes.append(
                f"the answer of task {task.name} was in a {cell.cell_type} cell; it was run as code"
            )
        if len(cell.source) > LONGEST:
            length = f"{len(cell.source):,} characters: an answer must have at most {LONGEST:,}"
            text = f"the answer of task {task.name} has {length}"
            self.notes.append(text)
            return f"raise ValueError({text!r})"
        return str(cell.source).encode(errors="replace").decode()  # half a surrogate pair cannot be written


def _is_changed(own: Any, cell: Any) -> bool:
    """Has a cell of code been changed? Text may be, and so must the student's number."""
    return bool(
        own.cell_type == "code" and own.source != cell.source and not own.source.startswith("# STUDENT")
    )


def named(sources: Iterable[str]) -> str:
    """Return the student's number that a notebook's cells give, the last STUDENT cell's; empty if none does.

    >>> named([student_cell("up000000"), student_cell("up202601234")])
    'up202601234'
    """
    found = ""
    for source in sources:
        marker = Marker.of(source)
        if marker is not None and marker.kind == "STUDENT":
            for line in source.splitlines():
                if line[:7] == "STUDENT":
                    found = line.partition("=")[2].split("#")[0].strip(" \"'")
    return "" if found == EXAMPLE else found


def _other_students(submitted: Notebook, student: str) -> Iterator[str]:
    """A remark if the notebook says that it is somebody else's."""
    number = named(cell.source for cell in submitted.cells)
    if number not in (student, ""):
        yield f"the notebook gives the student number {number!r}; it was handed in as {student!r}"
