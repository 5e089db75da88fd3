"""Exercises are the same for the same seed, solvable by an independent reader, and reply to every answer."""

from collections import Counter

import pytest

from xenlab.domains import table
from xenlab.domains.model import State, state_of
from xenlab.problems.domains import HowMany, ReadList, StateAfter

KINDS = (ReadList, StateAfter, HowMany)
SEEDS = range(25)


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_always_makes_the_same_problem_and_seeds_differ(kind):
    assert kind.make(7) == kind.make(7)
    assert len({(kind.make(seed).question, kind.make(seed).given) for seed in SEEDS}) > 22


@pytest.mark.parametrize("kind", KINDS)
def test_its_own_solution_is_right_and_anything_else_is_told_why_not(kind):
    for seed in SEEDS:
        problem = kind.make(seed)
        solution = problem.solve()
        assert problem.check(solution).right
        wrong = solution + 1 if isinstance(solution, int) else "Domain-0"
        reply = problem.check(wrong)
        assert not reply.right
        assert str(wrong) in reply.text
        assert str(solution) in reply.text


def test_reading_the_printed_table_gives_the_solution():
    for seed in SEEDS:
        problem = ReadList.make(seed)
        rows = [line.rsplit(maxsplit=5) for line in problem.given.splitlines()[1:]]
        found = [row[0] for row in rows[1:] if state_of(row[4]) is problem.wanted]
        assert found == [problem.solve()]


def test_every_kind_of_end_comes_up_about_as_often():
    ends = Counter(StateAfter.make(seed).solve() for seed in range(80))
    assert set(ends) == {"running", "blocked", "paused", "saved", "absent"}
    assert min(ends.values()) > 4


@pytest.mark.parametrize(
    ("commands", "busy", "end"),
    [
        (("create", "pause", "pause", "unpause"), False, "paused"),
        (("create", "pause", "shutdown"), False, "paused"),
        (("create", "pause", "shutdown", "unpause"), False, "blocked"),
        (("create", "save", "restore"), True, "running"),
        (("create", "save"), False, "saved"),
        (("create", "reboot"), False, "blocked"),
    ],
)
def test_known_sequences_end_where_they_should(commands, busy, end):
    assert StateAfter(0, "", "", commands, busy).solve() == end


def test_memory_is_what_the_arithmetic_says():
    problem = HowMany(0, "", "", 1024, (512, 128, 128), 64)
    assert problem.solve() == 3  # 256 MiB free, 65 each
    assert "1024 - 512 - 128 - 128 = 256 MiB" in problem.check(4).text


@pytest.mark.parametrize("answer", ["three", 3.5, True, None])
def test_an_answer_of_the_wrong_kind_is_told_the_right_one(answer):
    assert "must be a whole number" in problem_text(HowMany, answer)


@pytest.mark.parametrize("answer", [3, None, State])
def test_a_word_must_be_a_word(answer):
    assert "must be a word in quotes" in problem_text(ReadList, answer)


def problem_text(kind, answer):
    reply = kind.make(1).check(answer)
    assert not reply.right
    return reply.text


@pytest.mark.parametrize("kind", KINDS)
def test_the_three_dots_give_nothing_away(kind):
    reply = kind.make(1).check(...)
    assert not reply.right
    assert reply.text == "Put your answer in place of the three dots."


def test_capitals_and_spaces_are_forgiven():
    problem = ReadList.make(3)
    assert problem.check(f"  {problem.solve().upper()} ").right


def test_a_problem_shows_itself_as_text_and_as_html():
    problem = ReadList.make(3)
    assert table.HEADING.split("\t")[0] in str(problem)
    assert "<pre>" in problem._repr_html_()
    assert str(problem.check("nobody")).startswith("Not yet. You answered nobody")
    assert "<strong>Not yet.</strong>" in problem.check("nobody")._repr_html_()
