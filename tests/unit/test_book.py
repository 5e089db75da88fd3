"""The web site's parts: what its widgets need, its links, its words in two languages."""

import ast
from pathlib import Path

import nbformat
import pytest

from xenlab.book.execute import Executed
from xenlab.book.glossary import Term, terms
from xenlab.book.links import check
from xenlab.book.page import render
from xenlab.book.site import BINDER, Leaf, Site
from xenlab.book.widgets import STATE, as_script, living
from xenlab.commands import XenlabError
from xenlab.ui.quiz import Option, Quiz

PACKAGE = Path(__file__).parents[2] / "xenlab"


def answers_in_python(cls: ast.ClassDef) -> bool:
    """Does it listen to its page, to answer?"""
    calls = [node.func for node in ast.walk(cls) if isinstance(node, ast.Call)]
    return any(isinstance(call, ast.Attribute) and call.attr in ("observe", "on_msg") for call in calls)


def says_so(cls: ast.ClassDef) -> bool:
    named = [target for node in cls.body if isinstance(node, ast.Assign) for target in node.targets]
    return any(isinstance(target, ast.Name) and target.id == "needs_kernel" for target in named)


def test_every_widget_that_answers_in_python_says_which_controls_need_it():
    classes = [
        node
        for file in PACKAGE.rglob("*view*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
    ]
    listening = {node.name for node in classes if answers_in_python(node)}
    assert len(listening) > 10
    assert listening == {node.name for node in classes if says_so(node)}


def notebook_with(*cells):
    return nbformat.v4.new_notebook(cells=list(cells), metadata={"language_info": {"name": "python"}})


def cell(source, name, kind=nbformat.v4.new_markdown_cell, **more):
    return kind(source, id=name, **more)


TITLE = cell("# 01 · A title\n\n*Um título*\n\nWords.", "title")


def test_sections_are_found_under_their_cells_names():
    page = render(
        "01_x", notebook_with(TITLE, cell("## One · *Um*\n\nIts text.\n\n### More\n\nYet.", "one")), ""
    )
    assert (page.title, page.slide) == ("01 · A title", "Um título")
    found = [(each.anchor, each.level, each.title, each.portuguese, each.text) for each in page.sections]
    assert found[1:] == [("one", 2, "One", "Um", "Its text."), ("more", 3, "More", "", "Yet.")]
    assert '<em lang="pt">Um</em>' in page.html


def test_a_figure_is_described_once_to_those_who_hear_it():
    outputs = [
        nbformat.v4.new_output(
            "display_data",
            {"image/png": "AAAA", "text/plain": ""},
            metadata={"image/png": {"alt": "A <bar>."}},
        ),
        nbformat.v4.new_output("stream", name="stdout", text="A <bar>.\nmore\n"),
    ]
    shown = cell("# NBVAL_CHECK_OUTPUT\nshow()", "figure", nbformat.v4.new_code_cell, outputs=outputs)
    html = render("01_x", notebook_with(TITLE, shown), "").html
    assert 'alt="A &lt;bar&gt;."' in html
    assert '<figcaption aria-hidden="true">A &lt;bar&gt;.</figcaption>' in html
    assert html.count("A &lt;bar&gt;.") == 2
    assert ">more" in html
    assert "NBVAL" not in html


def test_formulas_are_drawn_without_a_script_and_money_is_not_a_formula():
    text = cell("## One · *Um*\n\n$$\\text{volume} = \\frac{1}{1-x}$$\n\n`$XENLAB_HOST` stays.", "one")
    html = render("01_x", notebook_with(TITLE, text), "").html
    assert "<mfrac>" in html
    assert "frac{" not in html
    assert "$XENLAB_HOST" in html


def test_a_page_carries_its_widgets_traits_and_the_site_their_modules_once():
    quizzes = [Quiz(f"{n}?", Option("a", "</script>", right=True), Option("b", "no")) for n in range(2)]
    state = {quiz.model_id: {"state": quiz.get_state(), "buffers": []} for quiz in quizzes}
    notebook = notebook_with(TITLE)
    notebook.metadata["widgets"] = {STATE: {"state": state}}
    alive = living(notebook)
    assert (len(alive.scripts), len(alive.styles), len(alive.models)) == (1, 1, 2)
    (script,) = alive.scripts.values()
    assert "export" not in script
    assert alive.models[quizzes[1].model_id]["traits"]["question"] == "1?"
    assert "</script>" not in alive.as_json()


def test_a_module_without_the_usual_export_is_refused():
    with pytest.raises(ValueError, match="must end with"):
        as_script("export function render() {}")


def test_a_chapter_and_its_lab_lead_to_each_other_and_to_their_notebooks(tmp_path):
    reading = cell("## Further reading\n\n* A book.", "reading")
    one, two = (
        Leaf.of(
            name,
            notebook_with(TITLE, reading),
            f"chapters/{name}.ipynb",
            Executed(name, notebook_with(), 1.5, 0.5),
        )
        for name in ("01_x", "02_y")
    )
    lab = Leaf.of("labs/02_y", notebook_with(TITLE), "labs/02_y/02_y.ipynb")
    Site(tmp_path, [one, two], [lab], [Term("x", "xis", "A letter.", "01_x#title")]).write()
    for asset in ("assets/book.css", "assets/book.js", "assets/search.js"):
        (tmp_path / asset).parent.mkdir(exist_ok=True)
        (tmp_path / asset).touch()
    for leaf in (one, two, lab):
        (tmp_path / "notebooks" / leaf.source).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "notebooks" / leaf.source).touch()
    report = check(tmp_path)
    assert report.broken == []
    assert f"{BINDER}/labs/02_y/02_y.ipynb" in report.outside
    assert 'href="../02_y.html">The chapter' in (tmp_path / "labs/02_y.html").read_text()
    assert 'href="labs/02_y.html">The lab' in (tmp_path / "02_y.html").read_text()
    assert "The lab" not in (tmp_path / "01_x.html").read_text()
    assert '"labs/02_y.html#title"' in (tmp_path / "assets/search-index.js").read_text()


def test_a_word_that_is_explained_nowhere_is_refused(tmp_path):
    with pytest.raises(XenlabError, match=r"mend glossary\.tsv"):
        Site(tmp_path, [], [], [Term("x", "xis", "A letter.", "01_x#title")])


def test_a_broken_link_is_noticed(tmp_path):
    (tmp_path / "page.html").write_text(
        "<h2 id='there'></h2><a href='#there'></a><a href='#gone'></a><a href='gone.html'></a><img src='gone.png'>"
        "<a href='https://elsewhere.example'></a>"
    )
    report = check(tmp_path)
    assert report.inside == 4
    assert [line.split(": ")[1] for line in report.broken] == ["#gone", "gone.html", "gone.png"]
    assert report.outside == {"https://elsewhere.example"}


def test_the_glossary_names_each_word_once():
    assert len({term.anchor for term in terms()}) == len(terms()) >= 80
    for term in terms():
        assert term.meaning.endswith("."), term.english
        assert "#" in term.place, term.english


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path):
    from xenlab.book.build import build

    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(XenlabError, match="name another folder"):
        build(tmp_path, PACKAGE.parent)
    assert (tmp_path / "mine.txt").exists()
    with pytest.raises(XenlabError, match="must be a clone of xenlab"):
        build(tmp_path / "site", tmp_path)
