"""Exercises on the XenoServer platform: the models agree with their solutions."""

import pytest

from xenlab.problems.xenoserver import Rest, WhichRing, WhoMay

SEEDS = range(40)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_comes_back_is_what_was_not_owed(seed):
    problem = Rest.make(seed)
    owed = problem.hours * problem.price * problem.memory // 1024
    assert problem.solve() == max(0, problem.budget - owed)


@pytest.mark.parametrize("kind", [WhichRing, WhoMay])
def test_no_answer_is_nearly_always_the_right_one(kind):
    answers = [kind.make(seed).solve() for seed in range(200)]
    assert all(answers.count(each) < 150 for each in set(answers))
    assert len(set(answers)) >= 2
