"""The instructor's commands from end to end: a small class, in the sandbox, interrupted, graded, reported."""

import csv
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from xenlab.grading.rebuild import student_cell

EVIDENCE = "from xenlab.grading.evidence import evidence"
XENLAB = [sys.executable, "-c", "from xenlab.cli import app; app()"]


def notebook(first: str = "x = 1", second: str = "y = 2", student: str = "up1") -> bytes:
    cells = {
        "student": student_cell(student),
        "first": f"# TASK first\n{first}",
        "first-check": f"# CHECK first (2 points)\n# HINT: count\n{EVIDENCE}\nevidence(x)",
        "second": f"# TASK second\n{second}",
        "second-check": f"# CHECK second (1 point)\n{EVIDENCE}\nevidence(y)",
    }
    return nbformat.writes(
        new_notebook(cells=[new_code_cell(each, id=name) for name, each in cells.items()])
    ).encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    master = tmp_path / "labs" / "01_small" / "master.ipynb"
    master.parent.mkdir(parents=True)
    master.write_bytes(notebook())
    with zipfile.ZipFile(tmp_path / "class.zip", "w") as archive:
        for number, data in enumerate(
            [notebook(), notebook("x = 3"), b"{oops", notebook("", "import os; os._exit(0)")]
        ):
            archive.writestr(f"Ana {number}_7{number}_assignsubmission_file_/lab.ipynb", data)
    return tmp_path


def xenlab(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*XENLAB, *arguments],
        cwd=folder,
        text=True,
        capture_output=True,
        timeout=120,
        env={**os.environ, "COLUMNS": "300"},
    )


def test_a_class_is_graded_and_reported(folder: Path) -> None:
    done = xenlab(folder, "grade", "class.zip", "--lab", "01", "--out", "out", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    assert "4 submissions, 1 of them not to be graded: 4 graded" in done.stdout
    with open(folder / "out" / "grades.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["first state"], row["second state"], row["points"]) for row in rows] == [
        ("pass", "pass", "3"),
        ("fail", "pass", "1"),
        ("skipped", "skipped", "0"),
        ("error", "crash", "0"),
    ]
    assert rows[0]["remarks"] == "the number 'up1' is also in the notebook of Ana-1_71, Ana-3_73"
    assert "expected 1" in (folder / "out" / "feedback" / "Ana-1_71.html").read_text()
    assert len(list((folder / "out" / "master").iterdir())) == 1  # one reference for all of the class
    for path in (folder / "out").rglob("*.html"):
        path.unlink()
    assert xenlab(folder, "report", "out").returncode == 0
    assert len(list((folder / "out").rglob("*.html"))) == 5
    again = xenlab(folder, "grade", "class.zip", "--lab", "01", "--out", "out")
    assert "0 graded in" in again.stdout
    assert "4 known before" in again.stdout


def test_ctrl_c_says_how_far_it_came_and_leaves_nothing_running(folder: Path) -> None:
    with zipfile.ZipFile(folder / "long.zip", "w") as archive:
        for number in range(4):
            archive.writestr(
                f"s{number}.ipynb", notebook(f"import time; time.sleep({3 * (number > 0)}); x = 1")
            )
    command = [*XENLAB, "grade", "long.zip", "--lab", "01", "--out", "out", "--jobs", "2"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(folder.glob("out/results/s*.json")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    told, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "stopped: 1 of 4 are graded; the same command goes on from there" in told
    assert (
        xenlab(folder, "grade", "long.zip", "--lab", "01", "--out", "out").stdout.count("1 known before") == 1
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["grade", "class.zip", "--lab", "07", "--out", "out"], "--lab 07: there is no master.ipynb"),
        (["grade", "nowhere.zip", "--lab", "01", "--out", "out"], "nowhere.zip"),
        (["report", "labs"], "holds no results"),
    ],
)
def test_an_instructors_slip_is_told_in_one_line(folder: Path, arguments: list[str], told: str) -> None:
    done = xenlab(folder, *arguments)
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr
