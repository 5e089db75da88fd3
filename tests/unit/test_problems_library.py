"""Exercises on libraries have the answers that the model gives, and say something useful to a wrong one."""

import pytest

from xenlab.problems.library import IsItReached, WhoAnswers


@pytest.mark.parametrize("seed", range(20))
def test_the_solution_is_right_and_a_wrong_answer_gets_the_order(seed):
    problem = WhoAnswers.make(seed)
    assert problem == WhoAnswers.make(seed)
    assert problem.check(problem.solve()).right
    wrong = problem.check("nobody")
    assert not wrong.right
    assert "The linker looks in this order: prog, " in wrong.text


def test_not_always_the_first_preloaded_answers():
    problems = [WhoAnswers.make(seed) for seed in range(40)]
    assert {problem.solve() == problem.preload[0] for problem in problems} == {True, False}


def test_both_answers_occur_and_wrong_ones_are_told_why():
    problems = [IsItReached.make(seed) for seed in range(40)]
    assert {problem.solve() for problem in problems} == {"yes", "no"}
    for problem in problems:
        other = {"yes": "no", "no": "yes"}[problem.solve()]
        assert problem.case.why in problem.check(other).text
