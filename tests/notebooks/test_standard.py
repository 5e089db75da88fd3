"""Every notebook of the book is held to the book's standard."""

import json
import re

import nbformat
import pytest
from book import MARKER, METADATA, chapters, is_marked, strip
from nbval.plugin import comment_markers, get_sanitize_patterns

NOTEBOOKS = {path.stem: nbformat.read(path, as_version=4) for path in chapters()}
#: Sections that every chapter has under these names, after its own.
COMMON = ["On real Xen", "Quiz", "Lessons learned", "Exercises", "Further reading"]
PROMISES = ["What you'll do", "What you'll learn", "What you'll need"]


@pytest.fixture(params=NOTEBOOKS)
def notebook(request):
    return NOTEBOOKS[request.param]


def code_of(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text_of(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def sections_of(notebook):
    return re.findall(r"^## (.+)$", text_of(notebook), re.MULTILINE)


def test_marked_cells_carry_what_nbval_compares(notebook):
    # nbval never compares a cell without an execution count, so a stripped marked cell would check nothing.
    marked = [cell for cell in code_of(notebook) if is_marked(cell)]
    assert marked
    for cell in marked:
        assert cell.execution_count, cell.id
        assert cell.outputs, cell.id


def test_marked_outputs_hold_nothing_that_changes_from_run_to_run(notebook):
    for cell in code_of(notebook):
        kept = json.dumps(cell.outputs)
        assert "widget-view" not in kept, f"{cell.id}: a widget's model id is random"
        assert not re.search(r"0x[0-9a-f]{6,}|ipykernel_\d|image/png", kept), cell.id
        assert not any(output.output_type == "error" for output in cell.outputs), cell.id


def test_all_else_is_stripped(notebook):
    stripped = nbformat.from_dict(json.loads(json.dumps(notebook)))
    strip(stripped)
    assert stripped == notebook, "run: python tests/notebooks/book.py"
    assert notebook.metadata == METADATA


def test_markers_are_spelt_as_nbval_reads_them(notebook):
    for cell in code_of(notebook):
        for line in cell.source.splitlines():
            if "NBVAL" in line:
                assert line == MARKER, f"{cell.id}: {line!r}"
                assert MARKER.lstrip("# ") in comment_markers


def test_cells_have_stable_names(notebook):
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", each) for each in ids)


def test_it_begins_with_its_slide_and_its_promises(notebook):
    title, slide, *_ = [line for line in notebook.cells[0].source.splitlines() if line]
    assert re.fullmatch(r"# (\d\d · )?\w.*", title)
    assert re.fullmatch(r"\*[^*]+\*", slide)
    for promise in PROMISES:
        assert f"**{promise}.**" in notebook.cells[0].source


def test_its_sections_come_in_order_with_the_slides_title_in_portuguese(notebook):
    sections = sections_of(notebook)
    assert sections[-len(COMMON) :] == COMMON
    for section in sections[: -len(COMMON)]:
        assert re.fullmatch(r".+ · \*.+\*", section), section


def test_a_question_comes_before_each_picture_and_an_answer_after(notebook):
    code = "\n".join(cell.source for cell in code_of(notebook))
    imports = re.findall(r"^from xenlab[\w.]*(?:view|transcript) import (.+)$", code, re.MULTILINE)
    widgets = sorted(name for line in imports for name in re.findall(r"\b[A-Z][a-z]\w*", line))
    drawn = "|".join([*widgets, r"show\w*"])
    pictures = re.compile(rf"^(?!from ).*\b({drawn})\(", re.MULTILINE)
    found = 0
    for before, cell, after in zip(notebook.cells, notebook.cells[1:], notebook.cells[2:], strict=False):
        if cell.cell_type == "code" and pictures.search(cell.source):
            found += 1
            assert before.cell_type == after.cell_type == "markdown", cell.id
            assert "**Before you" in before.source, cell.id
            assert "?" in before.source.split("**Before you")[1], cell.id
    assert found


def test_quizzes_hide_their_source(notebook):
    quizzes = [cell for cell in code_of(notebook) if re.search(r"^Quiz\(", cell.source, re.MULTILINE)]
    assert len(quizzes) >= 2
    assert all(cell.metadata.get("jupyter", {}).get("source_hidden") for cell in quizzes)


def test_exercises_are_seeded(notebook):
    start = next(i for i, cell in enumerate(notebook.cells) if cell.source.startswith("## Exercises"))
    exercises = [cell.source for cell in notebook.cells[start:] if cell.cell_type == "code"]
    assert any(".make(seed=" in source for source in exercises)
    assert any(".check(" in source for source in exercises)


def test_figures_come_from_the_package_which_describes_them(notebook):
    for cell in code_of(notebook):
        assert "plt." not in cell.source, (
            f"{cell.id}: a figure's code belongs into a view, with show(figure, alt)"
        )


def test_figures_of_a_host_say_whether_they_are_simulated(notebook):
    for cell in code_of(notebook):
        if re.search(r"\bshow\w*\(", cell.source) and "host." in cell.source:
            assert "simulated=host.simulated" in cell.source, cell.id


def test_further_reading_names_its_sources(notebook):
    reading = notebook.cells[-1].source
    assert reading.startswith("## Further reading")
    assert len(re.findall(r"^\* ", reading, re.MULTILINE)) >= 3
    assert re.search(r"https://|doi:", reading)


def test_sentences_are_short(notebook):
    prose = re.sub(r"^(#|\||\* ).*$", "", text_of(notebook), flags=re.MULTILINE)
    sentences = re.split(r"[.!?:]\s+|\n\n", prose)
    lengths = sorted(len(sentence.split()) for sentence in sentences if sentence.strip())
    assert lengths[len(lengths) // 2] <= 15, "the median sentence"
    assert lengths[-1] <= 36, max(sentences, key=lambda sentence: len(sentence.split()))


def test_british_spelling(notebook):
    american = r"\b(color|behavior|analyz|virtualis|center[^e]|license[ds]|modeling|canceled)\w*"
    assert not re.findall(american, text_of(notebook), re.IGNORECASE)


def test_the_sanitize_file_says_what_we_think_it_says(request):
    # nbval ignores a rule that is misspelt.
    text = (request.path.parent / "sanitize.cfg").read_text()
    rules = get_sanitize_patterns(text)
    assert len(rules) == text.count("regex:") == text.count("replace:") > 0
    (pattern, replacement), *_ = rules
    assert (
        re.sub(pattern, replacement, "/tmp/ipykernel_123/456.py:1: UserWarning")
        == "KERNEL-FILE:1: UserWarning"
    )
