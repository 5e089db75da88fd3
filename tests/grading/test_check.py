"""What a student can check: the public checks, run as the grader does, from the notebook that was given out."""

import nbformat
import pytest
from corpus import RIGHT, TASKS, master
from typer.testing import CliRunner

from xenlab.cli import app
from xenlab.grading.check import as_text, check, student_of, unsaved
from xenlab.grading.lab import BadLab
from xenlab.grading.publish import publish
from xenlab.grading.results import State
from xenlab.grading.view import CheckButton


@pytest.fixture(scope="module")
def given_out(tmp_path_factory):
    path = tmp_path_factory.mktemp("labs") / "01_small" / "master.ipynb"
    path.parent.mkdir()
    nbformat.write(master(), path)
    return publish(path)


@pytest.fixture
def answered(given_out, tmp_path):
    """Write a student's notebook, with these answers, as Jupyter leaves it: run, its outputs the student's own."""

    def write(**answers):
        notebook = nbformat.read(given_out, as_version=4)
        for cell in notebook.cells:
            if cell.id.endswith("-answer") and (answer := answers.get(cell.id.removesuffix("-answer"))):
                cell.source = f"{cell.source.splitlines()[0]}\n{answer}"
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], 1
        path = tmp_path / "01_small" / given_out.name
        path.parent.mkdir(exist_ok=True)
        nbformat.write(notebook, path)
        return path

    return write


def test_right_answers_earn_all_that_is_public(answered):
    result = check(answered(**RIGHT))
    assert result.points == result.possible == 5
    assert [task.state for task in result.tasks] == [State.PASS] * 3
    assert not result.notes


def test_the_notebook_given_out_earns_nothing(given_out):
    result = check(given_out)
    assert result.points == 0
    assert [task.task for task in result.tasks] == list(TASKS)


def test_a_wrong_answer_is_told_what_was_expected_and_where_to_look(answered):
    text = as_text(check(answered(**{**RIGHT, "share": "print('I think')\nshare = 0.5"})))
    assert "✗ share: fail, 0 of 2\n    expected 0.25\n    got      0.5\n    Hint: 256 of 1024" in text
    assert "I think" not in text


def test_a_changed_check_is_not_what_will_be_graded(answered):
    path = answered(**RIGHT)
    path.write_text(path.read_text().replace("evidence(share)", "evidence(0.25)"))
    (note,) = check(path).notes
    assert note.startswith("check share-check-0 is not as it was given out")


def test_another_notebook_is_refused(tmp_path):
    path = tmp_path / "mine.ipynb"
    path.write_text("no notebook")
    with pytest.raises(BadLab, match="the file is no notebook"):
        check(path)


def test_the_command_says_the_same(answered):
    said = CliRunner().invoke(app, ["check", str(answered(**RIGHT))])
    assert said.exit_code == 0
    assert "5 of 5 points" in said.output


def test_the_button_says_the_same(answered):
    button = CheckButton(answered(**RIGHT))
    assert "5 of 5 points" in button.press()
    assert "5 of 5 points" in button.children[1].value


def test_a_button_without_a_notebook_says_how_to_name_it():
    assert "must be this notebook's file" in CheckButton("none.ipynb").press()


def test_what_was_run_but_not_saved_is_noticed(answered):
    path = answered(share="share = 0.25")
    assert not unsaved(path, ["1 + 1", "# TASK share\nshare = 7", "# TASK share\nshare = 0.25"])
    assert unsaved(path, ["# TASK share\nshare = 0.25", "# TASK share\nshare = 7"])


@pytest.mark.parametrize(
    ("source", "student"),
    [("# STUDENT\nSTUDENT = 'up1'", "up1"), ("# STUDENT\nSTUDENT = f(", "up000000"), ("x = 1", "up000000")],
)
def test_whose_notebook_it_is(source, student):
    cells = [nbformat.v4.new_code_cell(source)]
    assert student_of(nbformat.v4.new_notebook(cells=cells)) == student
