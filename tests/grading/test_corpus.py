"""Every notebook of the corpus gets what it earns, and the one after it is graded as if it had not been."""

import nbformat
import pytest
from corpus import CASES, TASKS, master

from xenlab.grading.grade import Job, grade_one
from xenlab.grading.jail import Limits

# A cell's time is short only where it is to run out: a busy machine must fail none of the others.
LIMITS = {True: Limits(cell=3, wall=60), False: Limits(cell=20, wall=120)}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    path = tmp_path_factory.mktemp("labs") / "01_small" / "master.ipynb"
    path.parent.mkdir()
    nbformat.write(master(), path)
    return path


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_gets_what_it_earns(lab, case):
    result = grade_one(Job(lab, case.submission, "ana", limits=LIMITS["timeout" in case.states]))
    states = " ".join(task.state for task in result.tasks)
    feedback = "\n".join(check.feedback for task in result.tasks for check in task.checks)
    assert (states, result.points) == (case.states, case.points), f"{result.problem}\n{feedback}"
    assert [task.task for task in result.tasks] == list(TASKS)
