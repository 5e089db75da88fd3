"""What is written about a class: tables that no spreadsheet runs, pages that no output breaks, pictures with words."""

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from xenlab.commands import XenlabError
from xenlab.grading.report import MARKS, WORDS, report, table
from xenlab.grading.results import CheckResult, Result, State, TaskResult
from xenlab.grading.store import Entry, Store

HOSTILE = "</pre><script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31m\u202egnp.exe&amp;"


def entry(student: str, state: State = State.PASS, feedback: str = "", **kept: str | None) -> Entry:
    whole = state is State.PASS
    checks = (
        CheckResult("c1", False, State.PASS, 1.0, 1, ""),
        CheckResult("c2", True, state, 2.0 * whole, 2, feedback),
    )
    tasks = (
        TaskResult("offender", State.PASS if whole else State.PARTIAL, checks),
        TaskResult("cure", state, (CheckResult("c3", False, state, 0.5 * whole, 0.5, feedback),)),
    )
    problem, sandbox = kept.get("problem"), kept.get("sandbox") or "bubblewrap"
    result = Result(
        student,
        "02_concepts",
        "ab" * 32,
        tasks,
        tuple(filter(None, [kept.get("note")])),
        problem,
        0.5,
        sandbox,
    )
    return Entry(
        result,
        kept.get("name") or student,
        kept.get("system") or "",
        kept.get("number") or "",
        f"{student}.ipynb",
    )


def written(folder: Path, entries: list[Entry]) -> Path:
    store = Store(folder)
    store.begin("02_concepts", [each.result.student for each in entries])
    for each in entries:
        store.put(each.result.student, "key", each)
    return report(folder)


def rows(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_bytes().decode())))


class Page(HTMLParser):
    """The elements of a page, its text, and whether all that was opened was closed."""

    VOID = ("meta", "img", "br", "link")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text, self._open = "", list[str]()
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag, attrs) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self._open.pop() == tag
        self.text += " " * (tag in ("td", "th", "dt"))

    def handle_data(self, data) -> None:
        self.text += data


CLASS = [
    entry("ana"),
    entry("bia", State.FAIL, "expected: 3\ngot: 4\nhint: count again"),
    entry("caio", State.CRASH, "the kernel died", note="2 notebooks were handed in"),
    entry("dora", State.SKIPPED, problem="it is not a notebook"),
]


def test_grades_by_task(tmp_path: Path) -> None:
    written(tmp_path, CLASS)
    head, *found = rows(tmp_path / "grades.csv")
    assert head[3:] == ["points", "possible", "offender", "cure", "offender state", "cure state", "remarks"]
    assert found[0] == ["ana", "ana", "", "3.5", "3.5", "3", "0.5", "pass", "pass", ""]
    assert found[1][3:9] == ["1", "3.5", "1", "0", "partial", "fail"]
    assert found[3][-1] == "it is not a notebook"
    data = json.loads((tmp_path / "grades.json").read_text())
    assert [Entry.from_json(each) for each in data] == CLASS


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1", "\x00=1"]
)
def test_no_cell_is_a_formula(text: str) -> None:
    cell = table([(text, 1.0)]).split(",")[0].strip('"')
    assert cell[0] in "'\ufffd"


def test_a_number_stays_a_number_and_a_row_a_row() -> None:
    assert table([("a,b\nc", -1.5, 2.0), ('"', 1 / 3, 0.0)]) == '"a,b c",-1.5,2\r\n"""",0.33,0\r\n'


def test_tables_for_moodle_and_canvas(tmp_path: Path) -> None:
    ana = entry("Ana_77", name="Ana", system="moodle", number="77")
    bia = entry("bia_4711", State.FAIL, name="=bia", system="canvas", number="4711")
    written(tmp_path, [ana, bia])
    assert rows(tmp_path / "moodle.csv") == [
        ["Identifier", "Full name", "Grade", "Maximum Grade", "Last modified (grade)", "Feedback comments"],
        ["Participant 77", "Ana", "3.5", "3.5", "", "offender: 3 of 3; cure: 0.5 of 0.5"],
    ]
    assert rows(tmp_path / "canvas.csv") == [
        ["Student", "ID", "Section", "02_concepts"],
        ["Points Possible", "", "", "3.5"],
        ["'=bia", "4711", "", "1"],
    ]


def test_a_students_page_tells_state_points_and_feedback(tmp_path: Path) -> None:
    written(tmp_path, CLASS)
    page = Page((tmp_path / "feedback" / "bia.html").read_text())
    for words in (
        "1 of 3.5 points",
        "partly right",
        "not yet right",
        "expected: 3\ngot: 4\nhint: count again",
        "bubblewrap",
    ):
        assert words in page.text
    assert "2 notebooks were handed in" in Page((tmp_path / "feedback" / "caio.html").read_text()).text
    unread = Page((tmp_path / "feedback" / "dora.html").read_text()).text
    assert "This could not be graded. it is not a notebook" in " ".join(unread.split())


def test_whatever_a_notebook_prints_is_text(tmp_path: Path) -> None:
    hostile = entry("x", State.ERROR, HOSTILE, name=HOSTILE, note=HOSTILE)
    unread = entry("y", State.SKIPPED, problem=HOSTILE)
    page = written(tmp_path, [hostile, unread])
    for path in (tmp_path / "feedback" / "x.html", tmp_path / "feedback" / "y.html", page):
        found = Page(path.read_text())
        assert not [tag for tag, _ in found.elements if tag in ("script", "iframe", "object", "form")]
        assert not [name for _, attributes in found.elements for name in attributes if name.startswith("on")]
        assert "<script>alert(1)</script>" in found.text
        assert not set(found.text) & set("\x1b\u202e")


def test_pages_need_nothing_but_themselves(tmp_path: Path) -> None:
    page = written(tmp_path, CLASS)
    for path in (page, *(tmp_path / "feedback").glob("*.html")):
        text = path.read_text()
        assert "default-src 'none'" in text
        for _, attributes in Page(text).elements:
            for name in ("src", "href"):
                where = attributes.get(name) or ""
                assert where.startswith("data:") or ":" not in where
                if name == "href" and where:
                    assert (path.parent / where).exists()


def test_every_picture_has_words_and_every_state_more_than_a_colour(tmp_path: Path) -> None:
    page = Page(written(tmp_path, CLASS).read_text())
    alts = [attributes["alt"] or "" for tag, attributes in page.elements if tag == "img"]
    assert alts == [
        "Failures by check, of 4 submissions. Most failed offender, hidden check 2: 3. "
        "Nobody failed 1 of the 3 checks.",
        "Points: 1 of 4 submissions have all 3.5, 0 have none; the median is 1.",
    ]
    assert all(alt in page.text for alt in alts)
    assert set(WORDS) == set(MARKS) == set(State)
    assert len(set(MARKS.values())) == len(set(WORDS.values())) == len(State)


def test_the_class_page_says_what_went_wrong_most(tmp_path: Path) -> None:
    page = Page(written(tmp_path, [*CLASS, entry("eva", State.FAIL, "expected: 3\ngot: 4")]).read_text())
    text = " ".join(page.text.split())
    assert (
        "offender hidden check 2 2 1 of 5 not yet right 2, the kernel died 1, not run 1 2× expected: 3 got: 4"
        in text
    )
    assert "mean 1.5 of 3.5 points" in text


def test_a_missing_sandbox_is_the_first_thing_said(tmp_path: Path) -> None:
    words = "NO SANDBOX, only resource limits"
    body = written(tmp_path, [entry("ana"), entry("bia", sandbox=words)]).read_text().partition("<body>")[2]
    assert re.sub("<[^>]*>", "", body).strip().startswith(words)
    body = written(tmp_path, [entry("ana")]).read_text().partition("<body>")[2]
    assert words not in body
    assert "Sandbox: bubblewrap." in body


def test_the_report_is_made_anew_from_the_results_alone(tmp_path: Path) -> None:
    page = written(tmp_path, CLASS)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for path in (page, tmp_path / "grades.csv", tmp_path / "feedback" / "ana.html"):
        path.unlink()
    report(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    written(tmp_path, CLASS[:2])
    assert {path.name for path in (tmp_path / "feedback").iterdir()} == {"ana.html", "bia.html"}


def test_a_class_of_nobody_and_a_folder_of_nothing(tmp_path: Path) -> None:
    Page(written(tmp_path / "empty", []).read_text())
    with pytest.raises(XenlabError, match="holds no results: give the folder"):
        report(tmp_path)
