"""Grade one submission: rebuilt from the master, run in the sandbox, compared by nbval, judged."""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from xenlab.grading import sandbox as sandboxes
from xenlab.grading.engine import Work, run
from xenlab.grading.evidence import evidence_in
from xenlab.grading.jail import Limits
from xenlab.grading.judge import Outputs, judge
from xenlab.grading.lab import BadLab, Lab, Notebook
from xenlab.grading.rebuild import Rebuilt, rebuild, with_seeds
from xenlab.grading.references import references
from xenlab.grading.results import Result, TaskResult
from xenlab.grading.sandbox import Sandbox
from xenlab.grading.seeds import EXAMPLE

LARGEST = 10 << 20  # bytes of a notebook that is read


@dataclass(frozen=True)
class Job:
    """One submission to grade. It can be sent to another process or machine that has the same files.

    `lab` is the master notebook's path. `submission` is what was handed in: a notebook's bytes, or its path.
    `secret` is what the seeds of hidden checks are made from. `cache` is a folder for what is found out once for
    all, which no submission can read, or None.
    """

    lab: Path
    submission: bytes | Path
    student: str
    secret: str = ""
    limits: Limits = field(default_factory=Limits)
    cache: Path | None = None


def grade_one(job: Job) -> Result:
    """Grade a submission. Whatever it is or does, there is a result; what cannot be run has a `problem`.

    Raises `BadLab` if the master is wrong, and `NoSandbox` if kernels cannot be started here.
    """
    began = time.monotonic()
    lab = Lab.read(job.lab)
    sandbox = sandboxes.best()
    digest, notebook, problem = read(job.submission)
    tasks = judge(lab, {})
    notes: tuple[str, ...] = ()
    if notebook is not None:
        # Checks see no seed of the student's, so that one reference is for the whole class.
        expected = references(lab, with_seeds(lab, EXAMPLE, job.secret), sandbox, job.limits, job.cache)
        tasks, notes = compare(
            lab, rebuild(lab, notebook, job.student, job.secret), expected, sandbox, job.limits
        )
    seconds = round(time.monotonic() - began, 3)
    return Result(job.student, lab.name, digest, tasks, notes, problem, seconds, sandbox.words)


def compare(
    lab: Lab, rebuilt: Rebuilt, expected: Mapping[str, Outputs], sandbox: Sandbox, limits: Limits
) -> tuple[tuple[TaskResult, ...], tuple[str, ...]]:
    """Run a rebuilt notebook, compare what its checks print with what is expected, and judge: tasks, and notes."""
    for cell in rebuilt.notebook.cells:
        if cell.id in lab.checks and not evidence_in(expected.get(cell.id, ())):
            raise BadLab(f"check {cell.id} of lab {lab.name} must show evidence: `evidence(answer)`")
    needs = {check.cell: task.answers for task in lab.tasks for check in task.checks}
    outcomes = run(Work(rebuilt.notebook, expected, needs), sandbox, limits)
    return judge(lab, outcomes, rebuilt.missing), rebuilt.notes


def read(submission: bytes | Path) -> tuple[str, Notebook | None, str | None]:
    """Return a submission's digest, and the notebook it is or the reason why it is none."""
    data = submission if isinstance(submission, bytes) else submission.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if len(data) > LARGEST:
        return digest, None, f"the file has {len(data):,} bytes: a notebook must have at most {LARGEST:,}"
    try:
        with warnings.catch_warnings(action="ignore"):
            return digest, _plain(nbformat.reads(data.decode(), as_version=4)), None
    except Exception as error:
        return digest, None, f"the file is no notebook: {type(error).__name__}: {str(error)[:200]}"


def _plain(notebook: Any) -> Notebook:
    """Return a notebook with what is read of its cells: kind, id, source, metadata, each of its type."""
    cells = []
    for cell in notebook["cells"]:
        source = cell["source"] if isinstance(cell["source"], str) else "".join(map(str, cell["source"]))
        metadata = cell.get("metadata", {})
        cells.append(
            {
                "cell_type": str(cell["cell_type"]),
                "id": str(cell.get("id", "")),
                "source": source.encode("utf-8", "replace").decode(),
                "metadata": metadata if isinstance(metadata, dict) else {},
            }
        )
    return nbformat.from_dict({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells})
