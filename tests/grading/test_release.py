"""A student's notebook is made of the master: nothing that is secret stays in it, and nothing else is lost."""

import pytest
from small_lab import CELLS, REFERENCES, notebook

from xenlab.grading.lab import BadLab, Lab
from xenlab.grading.release import cut, release, stored_references, to_text, with_references


def released(**changed):
    lab = Lab.of("small", notebook(**changed))
    return release(Lab.of("small", with_references(lab, REFERENCES)))


def test_solutions_and_hidden_checks_are_gone_and_all_else_is_there():
    student = released()
    assert [cell.id for cell in student.cells] == [name for name in CELLS if "hidden" not in name]
    text = to_text(student)
    assert "SOLUTION" not in text
    assert "a + b" not in text
    assert "HIDDEN" not in text
    assert student.cells[3].source == "# TASK add\ndef add(a, b):\n    ...  # your answer"


def test_public_checks_keep_their_references_and_no_other_cell_an_output():
    lab = Lab.of("small", released())
    assert stored_references(lab) == REFERENCES
    for cell in lab.notebook.cells:
        if cell.cell_type == "code":
            assert bool(cell.outputs) == (cell.id in REFERENCES)
            assert (cell.execution_count is None) == (not cell.outputs)


def test_a_release_is_always_the_same_text():
    assert to_text(released()) == to_text(released())


def test_several_solutions_in_a_cell_are_all_cut():
    one, other = (f"{dent}### BEGIN SOLUTION\n{dent}x = 1\n{dent}### END SOLUTION" for dent in ("", "\t"))
    twice = f"# TASK a\n{one}\ny = 2\nif y:\n{other}"
    assert cut(twice) == "# TASK a\n...  # your answer\ny = 2\nif y:\n\t...  # your answer"


@pytest.mark.parametrize(
    "source",
    [
        "# TASK add\nadd = sum",
        "# TASK add\n### BEGIN SOLUTION\nadd = sum",
        "# TASK add\nadd = sum\n### END SOLUTION",
        "# TASK add\n### BEGIN SOLUTION\nadd = sum\n### END SOLUTION\nadd = 1\n### END SOLUTION",
    ],
)
def test_an_answer_without_a_marked_solution_is_not_released(source):
    with pytest.raises(BadLab, match="answer cell add must have its solution between"):
        released(add=source)


def test_a_task_without_a_check_is_not_released():
    with pytest.raises(BadLab, match="task 'own' has no check"):
        released(own_hidden=None)


def test_a_check_without_a_reference_is_not_released():
    with pytest.raises(BadLab, match="check add-check has no stored reference"):
        release(Lab.of("small", notebook()))


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"add_check": "# CHECK sub (1 point)\nevidence(1)"}, "task 'sub' has checks and no answer cell"),
        ({"two_check": "# CHECK two\nevidence(1)"}, "must be worth something"),
    ],
)
def test_a_lab_that_breaks_a_rule_is_told_which(changed, rule):
    with pytest.raises(BadLab, match=rule):
        Lab.of("small", notebook(**changed))


@pytest.mark.parametrize(
    "first", ["# Check add (1 point)", "# CHECK add (2 pts)", "#HIDDEN add (1 point)", "# task add"]
)
def test_a_misspelt_marker_is_refused(first):
    with pytest.raises(BadLab, match="add-check begins with"):
        Lab.of("small", notebook(add_check=f"{first}\nevidence(add(2, 3))"))
