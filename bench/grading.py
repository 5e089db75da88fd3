"""A class graded by `xenlab grade` and by nbgrader's autograde, side by side: the same notebooks, two processes each.

Each of the 60 submissions has 12 code cells: one that imports numpy, pandas and matplotlib, one that draws a figure,
five answers, five checks. A third of the class has all right, a third one task wrong, a third has handed in nothing.

nbgrader 0.9.6 is installed into an environment of its own in the user's cache. It works in one process and outside any
sandbox. It is timed so; and, for what it does not reach by itself, also as two that run side by side on a course each,
with six submissions a process: for 60 it would take minutes. What a program takes to start, a whole class shares: where
the two are compared it is left out of both. nbgrader is timed on one submission and on six of them, `xenlab grade`
on one a process and on all 60. The first row has everything in it, from the command to the written reports.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
import platformdirs
from nbformat.v4 import new_code_cell, new_notebook

from bench.row import Row

NBGRADER = "nbgrader==0.9.6"
CLASS, PROCESSES = 60, 2
OF_NBGRADER = 6  # submissions for each of its processes
TASKS = range(5)

IMPORTS = "import matplotlib.pyplot as plt\nimport numpy as np\nimport pandas as pd"
DATA = "shares = pd.Series(np.arange(20.0))"
EVIDENCE = "from xenlab.grading.evidence import evidence"
FIGURE = "axes = shares.plot()\nplt.show()"
RIGHT = [f"def credits_{task}(shares):\n    return (shares * {task + 2}).cumsum()" for task in TASKS]
WRONG = "def credits_3(shares):\n    return shares"
EXPECTED = [[float(sum(range(n + 1)) * (task + 2)) for n in range(20)] for task in TASKS]


def answers(student: int) -> list[str]:
    match student % 3:
        case 0:
            return RIGHT
        case 1:
            return [*RIGHT[:3], WRONG, *RIGHT[4:]]
        case _:
            return ["..." for _ in TASKS]


def points(student: int) -> float:
    return (5.0, 4.0, 0.0)[student % 3]


def ours(student: int) -> str:
    """A submission, and with student 0 the master, in xenlab's format."""
    cells = [new_code_cell(f"{IMPORTS}\n\n{DATA}", id="imports"), new_code_cell(FIGURE, id="figure")]
    for task, answer in enumerate(answers(student)):
        cells.append(new_code_cell(f"# TASK credits-{task}\n{answer}", id=f"answer-{task}"))
        check = f"# CHECK credits-{task} (1 point)\n{EVIDENCE}\nevidence(credits_{task}(shares))"
        cells.append(new_code_cell(check, id=f"check-{task}"))
    return nbformat.writes(new_notebook(cells=cells))


def theirs(student: int, master: bool = False) -> str:
    """The same in nbgrader's format."""
    cells = [_cell(f"{IMPORTS}\n\n{DATA}", "imports", locked=True), _cell(FIGURE, "figure", locked=True)]
    for task, answer in enumerate(answers(student)):
        source = f"### BEGIN SOLUTION\n{answer}\n### END SOLUTION" if master else answer
        cells.append(_cell(source, f"answer-{task}", solution=True))
        check = f"assert credits_{task}(shares).tolist() == {EXPECTED[task]}"
        cells.append(_cell(check, f"check-{task}", locked=True, grade=True, points=1))
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return nbformat.writes(new_notebook(cells=cells, metadata=kernel))


def _cell(source: str, name: str, **said: Any) -> Any:
    of_nbgrader = {
        "schema_version": 3,
        "grade_id": name,
        "grade": False,
        "solution": False,
        "locked": False,
        "task": False,
    }
    return new_code_cell(source, id=name, metadata={"nbgrader": {**of_nbgrader, **said}})


def time_ours(folder: Path, students: int) -> float:
    """Seconds for so many submissions with two processes, from the command to the written reports."""
    for student in range(students):
        _write(folder / "class" / f"s{student:02}.ipynb", ours(student))
    _write(folder / "labs" / "01_credits" / "master.ipynb", ours(0))
    xenlab = [sys.executable, "-c", "from xenlab.cli import app; app()"]
    command = [*xenlab, "grade", "class", "--lab", "01", "--out", "out", "--jobs", str(PROCESSES)]
    seconds = _timed([command], [folder])
    entries = [entry["result"] for entry in json.loads((folder / "out" / "grades.json").read_text())]
    got = [sum(check["points"] for task in entry["tasks"] for check in task["checks"]) for entry in entries]
    assert got == [points(student) for student in range(students)]
    assert not any(entry["sandbox"].startswith("NO SANDBOX") for entry in entries)
    return seconds


def time_theirs(folder: Path, processes: int) -> float:
    """Seconds for each further submission in each of so many processes of nbgrader, running side by side."""
    python = _environment()
    courses = [folder / f"course{number}" for number in range(processes)]
    for number, course in enumerate(courses):
        _write(course / "source" / "lab" / "notebook.ipynb", theirs(0, master=True))
        for student in range(number * OF_NBGRADER, (number + 1) * OF_NBGRADER):
            _write(course / "submitted" / f"s{student:02}" / "lab" / "notebook.ipynb", theirs(student))
    nbgrader = [str(python), "-m", "nbgrader"]
    _timed([[*nbgrader, "generate_assignment", "lab"]] * processes, courses, python.parent)
    one = [
        [*nbgrader, "autograde", "lab", "--student", f"s{number * OF_NBGRADER:02}"]
        for number in range(processes)
    ]
    _timed(one, courses, python.parent)  # for what is compiled and cached the first time
    started = _timed([[*command, "--force"] for command in one], courses, python.parent)
    seconds = _timed([[*nbgrader, "autograde", "lab", "--force"]] * processes, courses, python.parent)
    got = {student: score for course in courses for student, score in _scores(python, course).items()}
    assert got == {f"s{student:02}": points(student) for student in range(OF_NBGRADER * processes)}
    return (seconds - started) / (OF_NBGRADER - 1)


def _timed(commands: Sequence[list[str]], folders: Sequence[Path], first: Path | None = None) -> float:
    """Run commands side by side, each in its folder; the seconds until the last has ended."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PATH"] = os.pathsep.join([*([str(first)] if first else []), environment["PATH"]])
    start = time.perf_counter()
    running = [
        subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for command, folder in zip(commands, folders, strict=True)
    ]
    for each in running:
        told, _ = each.communicate()
        if each.returncode != 0:
            raise RuntimeError(told.decode(errors="replace")[-2000:])
    return time.perf_counter() - start


def _environment() -> Path:
    """The Python of nbgrader's own environment, which is made where it is not there yet."""
    folder = platformdirs.user_cache_path("xenlab") / "bench" / NBGRADER.replace("==", "-")
    python = folder / "bin" / "python"
    ready = folder / "ready"
    if not ready.exists():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        subprocess.run(
            [python, "-m", "pip", "install", "-q", NBGRADER, "numpy", "pandas", "matplotlib"], check=True
        )
        ready.touch()
    return python


def _scores(python: Path, course: Path) -> dict[str, float]:
    code = (
        "import json; from nbgrader.api import Gradebook; book = Gradebook('sqlite:///gradebook.db');"
        "print(json.dumps({each.student.id: each.score for each in book.find_assignment('lab').submissions}))"
    )
    told = subprocess.run([python, "-c", code], cwd=course, check=True, capture_output=True, text=True).stdout
    scores: dict[str, float] = json.loads(told)
    return scores


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def rows() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="xenlab-bench-") as folder:
        whole = [time_ours(Path(folder, f"xenlab{run}"), CLASS) for run in range(3)]
        start = statistics.median(time_ours(Path(folder, f"start{run}"), PROCESSES) for run in range(3))
        alone = time_theirs(Path(folder, "one"), 1)
        beside = time_theirs(Path(folder, "two"), PROCESSES) / PROCESSES
    further = tuple((seconds - start) / (CLASS - PROCESSES) for seconds in whole)
    ours, autograde = "`xenlab grade`", "nbgrader 0.9.6 `autograde`"
    one, two = "one process, which is all it has", "two of them side by side"
    return [
        Row(
            f"{ours}, {CLASS} 12-cell notebooks, 2 processes, in a sandbox, start and reports included",
            tuple(seconds / CLASS for seconds in whole),
            "s each",
            1,
        ),
        Row(f"{ours}, the same, start left out", further, "s each", None),
        Row(f"{autograde}, {OF_NBGRADER} of the same, {one}; start left out", (alone,), "s each", None),
        Row(f"{autograde}, {two}, {OF_NBGRADER} each; start left out", (beside,), "s each", None),
        _ratio(f"{ours} against nbgrader, {one}", alone, further),
        _ratio(f"{ours} against nbgrader, {two}", beside, further),
    ]


def _ratio(what: str, theirs: float, ours: Sequence[float]) -> Row:
    return Row(
        f"{what}; start left out on both sides", tuple(theirs / each for each in ours), "×", 5, at_least=True
    )
