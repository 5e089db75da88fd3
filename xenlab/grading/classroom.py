"""From what a class has handed in to what each student has earned: reads the store, grades what is not in it yet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from xenlab.grading import batch
from xenlab.grading.batch import Done, Grade, Work, Workers
from xenlab.grading.intake import Submission
from xenlab.grading.lab import Lab
from xenlab.grading.results import CheckResult, Result, State, TaskResult
from xenlab.grading.store import Entry, Store

Tell = Callable[[Entry, bool], None]


def grade_class(
    lab: Lab,
    handed_in: Sequence[Submission],
    store: Store,
    workers: Workers,
    grade: Grade,
    job: Callable[[Submission], Any],
    secret: str,
    tell: Tell,
) -> list[Entry]:
    """Grade a class, keeping each result in `store` as it comes; returns the entries in the order handed in.

    Args:
        lab: The lab, as its instructor has it.
        handed_in: One submission a student.
        store: Where results are kept; those that are there for the same notebook, lab, grader and secret are taken.
        workers: Where the work is done.
        grade: Grades one job.
        job: Makes a submission's job.
        secret: What the seeds of the hidden checks are made from; part of what a result is kept for.
        tell: Called for each entry when it is known, with True if it was known before.

    """
    store.begin(lab.name, [each.student for each in handed_in])
    lab_digest = digest(lab)
    by_key: dict[str, Submission] = {}
    entries: dict[str, Entry] = {}
    handed_in = [replace(each, notes=(*each.notes, *twins)) for each, twins in _with_twins(handed_in)]

    def keep(submission: Submission, done: Done, key: str) -> None:
        result = done if isinstance(done, Result) else not_run(lab, submission, done)
        notes = (*submission.notes, *result.notes)
        entry = _entry(submission, replace(result, student=submission.student, notes=notes))
        store.put(submission.student, key if isinstance(done, Result) else "", entry)
        entries[submission.student] = entry
        tell(entry, False)

    for each in handed_in:
        key = _key(each, lab_digest, secret)
        if (known := store.get(each.student, key)) is not None:
            entries[each.student] = known
            tell(known, True)
        elif each.problem is not None:
            keep(each, not_run(lab, each, each.problem), key)
        else:
            by_key[key] = each
    for work, done in batch.run(workers, grade, [Work(key, job(each)) for key, each in by_key.items()]):
        keep(by_key[work.key], done, work.key)
    return [entries[each.student] for each in handed_in]


def _with_twins(handed_in: Sequence[Submission]) -> Iterator[tuple[Submission, list[str]]]:
    """Each submission, with a remark if the student's number in it is in another's as well."""
    named: dict[str, list[str]] = {}
    for each in handed_in:
        named.setdefault(each.says, []).append(each.student)
    for each in handed_in:
        others = [other for other in named[each.says] if other != each.student] if each.says else []
        yield (
            each,
            [f"the number {each.says!r} is also in the notebook of {', '.join(others[:3])}"]
            if others
            else [],
        )


def not_run(lab: Lab, submission: Submission, problem: str) -> Result:
    """Return the result of a submission that could not be run: no points, and why."""
    tasks = tuple(
        TaskResult(
            task.name,
            State.SKIPPED,
            tuple(
                CheckResult(each.cell, each.hidden, State.SKIPPED, 0, each.points, "") for each in task.checks
            ),
        )
        for task in lab.tasks
    )
    return Result(submission.student, lab.name, submission.digest, tasks, (), problem, 0.0, "not run")


def digest(lab: Lab) -> str:
    """Tell a lab from any other: the SHA-256 of its cells' sources, kinds and ids."""
    cells = [[cell.get("id"), cell.cell_type, cell.source] for cell in lab.notebook.cells]
    return hashlib.sha256(json.dumps([lab.name, cells]).encode()).hexdigest()


def _key(submission: Submission, lab_digest: str, seed: Any) -> str:
    parts = [
        submission.student,
        submission.digest,
        submission.problem,
        lab_digest,
        batch.version(),
        repr(seed),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _entry(submission: Submission, result: Result) -> Entry:
    return Entry(result, submission.name, submission.system, submission.number, submission.file)
