"""Exercises on domains are solvable by an independent reader."""

from collections import Counter

import pytest

from xenlab.domains.model import state_of
from xenlab.problems.domains import HowMany, ReadList, StateAfter

SEEDS = range(25)


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
        (("create", "pause", "shutdown", "unpause"), False, "absent"),
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


def test_capitals_and_spaces_are_forgiven():
    problem = ReadList.make(3)
    assert problem.check(f"  {problem.solve().upper()} ").right
