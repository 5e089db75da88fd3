"""One submission: the reference earns all, the stub nothing, and a crash in one task leaves the others alone."""

import json

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from xenlab.grading.grade import Job, grade_one
from xenlab.grading.jail import Limits
from xenlab.grading.results import Result, State

TASKS = ("one", "two", "three")


def notebook(**answers):
    cells = [new_code_cell("from xenlab.grading.evidence import evidence", id="imports")]
    for task in TASKS:
        cells.append(new_code_cell(f"# TASK {task}\n{answers.get(task, f'{task} = 1')}", id=f"{task}-answer"))
        check = f"# CHECK {task} (2 points)\n# HINT: count\nevidence({task})"
        cells.append(new_code_cell(check, id=f"{task}-check"))
    return new_notebook(cells=cells)


@pytest.fixture
def lab(tmp_path):
    path = tmp_path / "01_small" / "master.ipynb"
    path.parent.mkdir()
    nbformat.write(notebook(), path)
    return path


def graded(lab, **answers):
    handed_in = nbformat.writes(notebook(**answers)).encode()
    return grade_one(Job(lab, handed_in, "ana", limits=Limits(cell=20, wall=60)))


def test_the_master_earns_all(lab):
    result = graded(lab)
    assert result.points == result.possible == 6
    assert [task.state for task in result.tasks] == [State.PASS] * 3


def test_a_crash_is_of_its_task_alone(lab):
    result = graded(lab, two="two = 1; import os; os._exit(0)")
    assert [task.state for task in result.tasks] == [State.PASS, State.CRASH, State.PASS]


@pytest.mark.parametrize("student", ["=HYPERLINK(1)", "ana\n<b>", "", "'); import os  #"])
def test_a_student_may_have_any_name(lab, student):
    result = grade_one(Job(lab, nbformat.writes(notebook()).encode(), student))
    assert (result.student, result.points) == (student, 6)
    assert Result.from_json(json.loads(json.dumps(result.to_json()))) == result


def test_feedback_says_what_was_expected_and_what_came(lab):
    (check,) = graded(lab, three="three = 3").tasks[2].checks
    assert check.feedback == "expected 1\ngot      3\nHint: count"
