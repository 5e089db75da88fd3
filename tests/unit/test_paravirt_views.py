"""Paravirtualization on the page: what is drawn is what was counted, and everything is told in words, too."""

import pytest

from xenlab.commands import XenlabError
from xenlab.paravirt.compare import compare
from xenlab.paravirt.driver import read, words
from xenlab.paravirt.guest import PvGuest
from xenlab.paravirt.sosp03 import CHANGED_LINES, EXHIBITS, LINUX, UML, VMWARE, XEN, exhibit
from xenlab.paravirt.trials import COSTS, INSTRUCTIONS, PAGE_TABLES
from xenlab.paravirt.view import Conversation, Paper, Port, _kind, show_costs, show_monitors, table


def answers_of(trials):
    guest = PvGuest.alone([trial.step for trial in trials])
    guest.run()
    found = words(read(guest.printed))
    return {trial.what: found[trial.step.name] for trial in trials}


@pytest.mark.parametrize("trials", [INSTRUCTIONS, PAGE_TABLES], ids=["instructions", "page tables"])
def test_a_conversation_tells_every_answer_and_why(trials):
    answers = answers_of(trials)
    talk = Conversation(trials, answers, simulated=True)
    assert len(talk.captions) == len(trials) + 1
    for trial in trials:
        assert trial.why
        assert answers[trial.what] in talk.describe()
    assert "answers of a model" in talk.picture()
    assert "answers of a real Xen" in Conversation(trials, answers, simulated=False).picture()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("#GP", "fault"),
        ("EBUSY", "refused"),
        ("0", "done"),
        ("0xe033", "done"),
        ("OK", "done"),
        ("EACCES", "refused"),
    ],
)
def test_an_answer_is_granted_refused_or_a_fault(answer, kind):
    assert _kind(answer) == kind


def test_the_port_counts_its_lines():
    port = Port()
    for version in port.versions:
        assert version["out"] == sum(line["sign"] == "-" for line in version["lines"])
        assert version["in"] == sum(line["sign"] == "+" for line in version["lines"])
    assert "rdsr r8, cause" in port.describe()


def test_a_table_has_a_line_for_every_trial():
    answers = answers_of(PAGE_TABLES)
    lines = table(PAGE_TABLES, answers).splitlines()
    assert len(lines) == len(PAGE_TABLES)
    assert lines[5].split()[-1] == "EBUSY"


def test_figures_say_in_words_what_they_show(capsys):
    show_monitors(compare())
    assert "; hypercalls, one by one " in capsys.readouterr().out
    show_costs(answers_of(COSTS), simulated=True)
    said = capsys.readouterr().out
    assert said.startswith("<figure>") or "Simulated." in said


# -- the paper


def test_the_papers_own_percentages_come_out():
    """What the paper prints beside its numbers: losses in Table 6 and Figure 4."""
    table_6 = {row.what: row for row in exhibit("Table 6").rows}
    for system, losses in {
        XEN: (0, 0, -14, -14),
        VMWARE: (-68, -31, -83, -75),
        UML: (-82, -77, -90, -83),
    }.items():
        found = [round(100 * (row.relative(system) - 1)) for row in table_6.values()]
        assert found == list(losses)
    assert exhibit("Figure 4").rows[0].relative(XEN) == pytest.approx(1 - 0.163, abs=0.001)
    assert CHANGED_LINES["Linux 2.4.21"] == (78 + 484 + 1070 + 1363, 0.0136)
    assert CHANGED_LINES["Windows XP"] == (1299 + 3321, 0.0004)


def test_every_row_has_linux_to_compare_with_and_positive_numbers():
    for each in EXHIBITS:
        for row in each.rows:
            assert LINUX in row.values
            assert all(value > 0 for value in row.values.values())
            assert row.relative(LINUX) == 1


def test_what_is_not_in_the_paper_is_refused():
    with pytest.raises(XenlabError, match="must be one of"):
        exhibit("Figure 9")
    with pytest.raises(XenlabError, match="system"):
        exhibit("Figure 4").rows[0].relative(UML)


def test_a_paper_shows_what_is_chosen():
    paper = Paper()
    paper.chosen = 2
    assert paper.describe().splitlines()[0] == "Table 3: system calls and processes"
    assert "fork: Linux 110 µs, Xen 198 µs (56 %)" in paper.describe()
    assert paper.picture().count("<h3>") == len(EXHIBITS)
