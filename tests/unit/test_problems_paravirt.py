"""Exercises on paravirtualization: the models agree with their solutions."""

import pytest

from xenlab.problems.paravirt import Entries, LastAnswer

SEEDS = range(20)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_hints_sum_is_what_the_monitor_counts(seed):
    problem = Entries.make(seed)
    assert problem.solve() == 3 * (problem.pages + problem.letters) + 3


def test_the_last_answer_is_either():
    assert {LastAnswer.make(seed).solve() for seed in SEEDS} == {"done", "refused"}
