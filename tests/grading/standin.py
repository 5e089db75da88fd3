"""Something that grades, for tests of what stands around it: it does what a job says, and keeps a list of its jobs.

A module of its own, since other processes import it.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat

from xenlab.commands import XenlabError
from xenlab.grading.intake import Submission
from xenlab.grading.lab import Lab
from xenlab.grading.results import CheckResult, Result, State, TaskResult

MASTER = {
    "answer-1": "# TASK first\nx = 1",
    "check-1": "# CHECK first (1 point)\nprint(x)",
    "check-2": "# HIDDEN first (2 points)\nprint(x + 1)",
    "answer-2": "# TASK second\ny = 1",
    "check-3": "# CHECK second (1 point)\nprint(y)",
}


@dataclass(frozen=True)
class Job:
    student: str
    says: str
    folder: str


def lab(**changed: str) -> Lab:
    cells = [nbformat.v4.new_code_cell(source, id=name) for name, source in {**MASTER, **changed}.items()]
    return Lab.of("02_toy", nbformat.v4.new_notebook(cells=cells))


def submission(student: str, says: str = "pass") -> Submission:
    return Submission(student, student.title(), "", "", f"{student}.ipynb", says.encode())


def job(folder: Path):
    return lambda each: Job(each.student, each.data.decode(), str(folder))


def asked(folder: Path) -> list[str]:
    """Whom `grade` was asked for, in this order."""
    log = folder / "log"
    return log.read_text().split() if log.exists() else []


def grade(job: Job) -> Result:
    with open(Path(job.folder, "log"), "a") as log:
        log.write(f"{job.student}\n")
    word, _, number = job.says.partition(" ")
    if word == "sleep":
        time.sleep(float(number))
    if word == "raise":
        raise RuntimeError("no such luck")
    if word == "cannot":
        raise XenlabError("no sandbox here")
    if word == "kill" or (word == "kill-once" and _first(job)):
        os.kill(os.getpid(), signal.SIGKILL)
    state = State.FAIL if word == "fail" else State.PASS
    checks = [
        CheckResult(
            "check-1", False, state, state is State.PASS, 1, "expected 1\ngot 2" if word == "fail" else ""
        )
    ]
    checks += [CheckResult("check-2", True, state, 2 * (state is State.PASS), 2, "")]
    second = CheckResult("check-3", False, State.PASS, 1, 1, "")
    tasks = (TaskResult("first", state, tuple(checks)), TaskResult("second", State.PASS, (second,)))
    return Result(job.student, "02_toy", "0" * 64, tasks, (), None, 0.25, "a stand-in")


def _first(job: Job) -> bool:
    try:
        Path(job.folder, f"killed-{job.student}").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
