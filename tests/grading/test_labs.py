"""Every lab of the book: what students get is made of its master, which earns all; what they get earns nothing yet."""

import json
import re
from pathlib import Path

import nbformat
import pytest

from xenlab.grading.evidence import evidence_in
from xenlab.grading.grade import Job, grade_one
from xenlab.grading.lab import MASTER, Lab
from xenlab.grading.release import METADATA, release, student_path, to_text

LABS = sorted((Path(__file__).parents[2] / "labs").glob(f"*/{MASTER}"))
PROMISES = ("What you'll do", "What you'll learn", "What you'll need")
every_lab = pytest.mark.parametrize("master", LABS, ids=lambda path: path.parent.name)


def text_of(lab):
    return "\n\n".join(cell.source for cell in lab.notebook.cells if cell.cell_type == "markdown")


def code_of(lab):
    return [cell for cell in lab.notebook.cells if cell.cell_type == "code"]


def test_there_is_a_lab_for_each_chapter_from_02_to_16():
    chapters = Path(__file__).parents[2] / "chapters"
    names = [path.stem for path in sorted(chapters.glob("[01]*.ipynb")) if "02" <= path.stem[:2] <= "16"]
    assert [path.parent.name for path in LABS] == names


@every_lab
def test_the_students_notebook_is_what_release_makes_of_the_master(master):
    made = to_text(release(Lab.read(master)))
    assert student_path(master).read_text() == made, f"run: xenlab release {master}"
    assert "SOLUTION" not in made
    assert "# HIDDEN" not in made


@every_lab
def test_a_lab_has_four_to_eight_tasks_for_ten_points_most_of_them_hidden(master):
    lab = Lab.read(master)
    assert 4 <= len(lab.tasks) <= 8
    assert lab.points == 10
    public = sum(check.points for check in lab.checks.values() if not check.hidden)
    assert 0 < public <= 5, "what is public can be copied"
    for task in lab.tasks:
        assert any(check.hidden for check in task.checks), task.name
        assert all(check.hints for check in task.checks), task.name


@every_lab
def test_a_masters_public_checks_carry_their_evidence_and_all_else_is_stripped(master):
    lab = Lab.read(master)
    assert lab.notebook.metadata == METADATA
    for cell in code_of(lab):
        check = lab.checks.get(cell.id)
        if check is not None and not check.hidden:
            assert cell.execution_count, cell.id
            (shown,) = evidence_in(cell.outputs)
            assert "not plain" not in shown, cell.id
            assert "too deep" not in shown, cell.id
            json.loads(shown)  # whole: what is too long is cut, and is no JSON any more
        else:
            assert (cell.outputs, cell.execution_count) == ([], None), cell.id


@every_lab
def test_a_first_line_that_looks_like_a_marker_is_one(master):
    lab = Lab.read(master)
    counted = {*lab.checks, *(cell for task in lab.tasks for cell in task.answers), "student"}
    for cell in code_of(lab):
        if re.match(r"#\s*(student|task|check|hidden)\b", cell.source, re.IGNORECASE):
            assert cell.id in counted, cell.source.splitlines()[0]


@every_lab
def test_the_master_earns_all_and_what_is_handed_out_earns_nothing(master, tmp_path):
    lab = Lab.read(master)
    whole = grade_one(Job(master, master, "ana", secret="a secret", cache=tmp_path))
    assert [check for task in whole.tasks for check in task.checks if check.points < check.possible] == []
    assert (whole.points, whole.notes, whole.problem) == (lab.points, (), None)
    stub = grade_one(Job(master, student_path(master), "ana", secret="a secret", cache=tmp_path))
    assert [check for task in stub.tasks for check in task.checks if check.points] == []
    assert (stub.notes, stub.problem) == ((), None)


@every_lab
def test_a_lab_says_what_it_is_about_and_where_it_is_in_the_slides(master):
    lab = Lab.read(master)
    title, slide, *_ = [line for line in lab.notebook.cells[0].source.splitlines() if line]
    assert re.fullmatch(rf"# Lab {lab.name[:2]} · .+", title)
    assert re.fullmatch(r"\*[^*]+\*", slide)
    for promise in PROMISES:
        assert f"**{promise}.**" in lab.notebook.cells[0].source
    sections = re.findall(r"^## \d+\. (.+)$", text_of(lab), re.MULTILINE)
    assert len(sections) == len(lab.tasks)
    assert all(re.fullmatch(r".+ · \*.+\*", section) for section in sections), sections
    assert any("CheckButton()" in cell.source for cell in code_of(lab))


@every_lab
def test_prose_is_as_in_the_chapters(master):
    text = text_of(Lab.read(master))
    american = r"\b(color|behavior|analyz|virtualis|center[^e]|license[ds]|modeling|canceled)\w*"
    assert not re.findall(american, text, re.IGNORECASE)
    assert re.findall(r"!\[\]\(|<img(?![^>]*\balt=)", text) == []
    prose = re.sub(r"^(#|\||\* ).*$", "", text, flags=re.MULTILINE)
    lengths = sorted(
        len(sentence.split()) for sentence in re.split(r"[.!?:]\s+|\n\n", prose) if sentence.strip()
    )
    assert lengths[len(lengths) // 2] <= 15, "the median sentence"


@every_lab
def test_cells_have_stable_names(master):
    for path in (master, student_path(master)):
        ids = [cell.id for cell in nbformat.read(path, as_version=4).cells]
        assert len(set(ids)) == len(ids)
        assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", each) for each in ids)
