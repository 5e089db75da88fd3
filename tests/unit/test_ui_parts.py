"""The parts that pictures share, and what each of them is where there is no front end."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import pyplot as plt

import xenlab.ui
from xenlab.commands import XenlabError
from xenlab.domains.view import Dashboard, LifeStory
from xenlab.ui.figure import show
from xenlab.ui.player import Player
from xenlab.ui.quiz import Option, Quiz
from xenlab.ui.text import to_html, to_plain
from xenlab.ui.theme import PALETTE, figures
from xenlab.ui.transcript import CHARACTERS, SHOWN, TranscriptView, as_rows

RIGHT, WRONG = Option("`yes` & more", "Because *so*.", right=True), Option("no", "Because **not**.")


@dataclass(frozen=True)
class Entry:
    command_line: str
    stdout: str = ""
    stderr: str = ""
    status: int = 0
    seconds: float = 0.0


class Transcript(list):
    def subscribe(self, callback):
        self.callback = callback
        return lambda: setattr(self, "callback", None)


# -- quiz


def test_a_quiz_answers_back_whatever_is_chosen():
    quiz = Quiz("Is it?", RIGHT, WRONG)
    assert quiz.choose("a") == "Right. Because so."
    assert quiz.choose("b") == "Not this one. Because not."
    assert quiz.chosen == 1


def test_a_quiz_is_html_that_unfolds_and_text_with_letters():
    data, _ = Quiz("Is `it`?", RIGHT, WRONG)._repr_mimebundle_()
    assert data["text/plain"].startswith("Is it?\n  a) yes & more\n  b) no")
    assert (
        "<code>yes</code> &amp; more</summary><p><strong>Right.</strong> Because <em>so</em>."
        in data["text/html"]
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((RIGHT,), "must be two or more"),
        ((RIGHT, RIGHT), "exactly one of them right"),
        ((WRONG, WRONG), "exactly one of them right"),
        ((RIGHT, Option("no", " ")), r"option\(='no'\) must have feedback"),
    ],
)
def test_a_quiz_that_cannot_teach_is_refused(options, message):
    with pytest.raises(XenlabError, match=message):
        Quiz("Is it?", *options)


@pytest.mark.parametrize("letter", ["c", "", "ab", "A"])
def test_a_letter_that_no_option_has_is_refused(letter):
    with pytest.raises(XenlabError, match="must be one of: a, b"):
        Quiz("Is it?", RIGHT, WRONG).choose(letter)


# -- player


@pytest.mark.parametrize(("moment", "shown"), [(-5, 0), (1, 1), (99, 2)])
def test_a_player_stays_within_its_trace(moment, shown):
    player = Player(["one", "two", "three"])
    player.moment = moment
    assert player.moment == shown


def test_a_player_steps_and_marks_where_it_is():
    player = Player(["one", "`two`"])
    assert player.step() == "two"
    assert player.step() == "two"
    assert player.describe() == "  1. one\n> 2. two"


def test_a_trace_without_moments_is_refused():
    with pytest.raises(XenlabError, match="captions"):
        Player([])


# -- transcript


def test_repeats_are_folded_into_one_row_with_the_last_output():
    rows = as_rows(
        [Entry("xl list", "a"), Entry("xl list", "b"), Entry("xl pause web"), Entry("xl list", "c")]
    )
    assert [(row["command"], row["times"], row["stdout"]) for row in rows] == [
        ("xl list", 2, "b"),
        ("xl pause web", 1, ""),
        ("xl list", 1, "c"),
    ]


def test_a_failure_is_not_folded_into_a_success():
    rows = as_rows([Entry("xl list"), Entry("xl list", stderr="no", status=1)])
    assert [row["status"] for row in rows] == [0, 1]


@settings(max_examples=30)
@given(st.lists(st.sampled_from(["xl list", "xl info", "xl uptime"]), max_size=60))
def test_folding_loses_no_command(lines):
    rows = as_rows([Entry(line) for line in lines])
    if len(rows) < SHOWN:
        assert [row["command"] for row in rows for _ in range(row["times"])] == lines
    assert all(a["command"] != b["command"] for a, b in pairwise(rows))


def test_long_output_is_cut_with_a_note_where_the_rest_is():
    (row,) = as_rows([Entry("xl dmesg", "x" * (CHARACTERS + 5))])
    assert row["stdout"].endswith("… 5 more characters in host.transcript")


def test_only_the_last_commands_are_shown():
    assert len(as_rows([Entry(f"xl domid d{i}") for i in range(SHOWN + 9)])) == SHOWN


def test_the_view_grows_with_the_transcript_until_it_is_closed():
    transcript = Transcript([Entry("xl list", "Domain-0")])
    view = TranscriptView(transcript)
    transcript.append(Entry("xl pause <web>", stderr="no"))
    transcript.callback(transcript[-1])
    assert view.describe() == "$ xl list\nDomain-0\n$ xl pause <web>\nno"
    assert "&lt;web&gt;" in view.picture()
    view.close()
    view.close()
    assert transcript.callback is None


# -- text, figures, theme


@settings(max_examples=50)
@given(st.text())
def test_no_markup_gets_through_from_text(text):
    plain = to_html(text)
    for tag in ("<code>", "</code>", "<em>", "</em>", "<strong>", "</strong>"):
        plain = plain.replace(tag, "")
    assert "<" not in plain
    assert ">" not in plain


def test_plain_text_has_no_marks():
    assert to_plain("`a` **b** *c*") == "a b c"


def test_a_figure_is_shown_with_its_description_twice(capsys, monkeypatch):
    published = []
    monkeypatch.setattr(
        "IPython.display.publish_display_data", lambda data, metadata: published.append((data, metadata))
    )
    with figures():
        figure, axis = plt.subplots()
        axis.plot([1, 2])
        show(figure, "A line that rises.")
    ((data, metadata),) = published
    assert data["image/png"].startswith("iVBOR")
    assert metadata == {"image/png": {"alt": "A line that rises."}}
    assert capsys.readouterr().out == "A line that rises.\n"
    assert not plt.fignum_exists(figure.number), "closed, or the notebook would show it again"


def test_a_figure_without_a_description_is_refused():
    with pytest.raises(XenlabError, match="must say what the figure shows"):
        show(None, " ")


@pytest.mark.parametrize("dark", [False, True])
def test_the_style_lasts_as_long_as_its_block(dark):
    before = dict(mpl.rcParams)
    with figures(dark):
        assert mpl.rcParams["axes.facecolor"] == mpl.rcParams["savefig.facecolor"]
        assert dict(mpl.rcParams) != before
    assert dict(mpl.rcParams) == before


def luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in mpl.colors.to_rgb(colour)]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    """Contrast ratio of WCAG 2: 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_lettering_is_readable_on_its_paper(dark):
    with figures(dark):
        assert contrast(mpl.rcParams["text.color"], mpl.rcParams["axes.facecolor"]) > 7


def test_lit_boxes_of_the_diagram_are_readable_and_differ():
    from xenlab.domains.diagram import FILLS

    assert all(contrast("#10151a", fill) > 7 for fill in FILLS.values())
    assert len(set(FILLS.values())) == len(FILLS)


def test_the_palette_is_eight_different_colours():
    assert len(set(PALETTE.values())) == 8


# -- the page's half


@pytest.mark.parametrize("widget", [Quiz, LifeStory, TranscriptView, Dashboard])
def test_its_javascript_is_one_module_that_parses(widget, tmp_path):
    module = tmp_path / "widget.mjs"
    module.write_text(str(widget._esm))
    assert str(widget._esm).count("export default") == 1
    node = shutil.which("node")
    if node:  # where there is none, the browser test parses it
        done = subprocess.run([node, "--check", str(module)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_widgets_load_nothing_from_elsewhere():
    for folder in (Path(xenlab.ui.__file__).parent, Path(xenlab.ui.__file__).parents[1] / "domains"):
        for file in [*folder.glob("*.js"), *folder.glob("*.css")]:
            text = file.read_text()
            assert "import " not in text, file
            assert "http" not in text.replace("http://www.w3.org/2000/svg", ""), file


def test_importing_the_parts_starts_no_plotting():
    code = "import sys, json, xenlab.ui.quiz, xenlab.ui.theme; print(json.dumps('matplotlib' in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) is False
