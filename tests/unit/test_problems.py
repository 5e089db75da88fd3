"""What every exercise of every chapter promises: a seed stands for one problem, and every answer gets a reply."""

import importlib
import inspect
import pkgutil

import pytest

import xenlab.problems
from xenlab.problems.base import Problem

MODULES = [
    importlib.import_module(f"xenlab.problems.{module.name}")
    for module in pkgutil.iter_modules(xenlab.problems.__path__)
]
KINDS = [
    kind
    for module in MODULES
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Problem) and not inspect.isabstract(kind)
]
SEEDS = range(12)
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def another(answer):
    """Another one of the same kind."""
    return answer + 1 if isinstance(answer, int) else "perhaps"


def test_every_chapters_exercises_are_here():
    assert len(MODULES) >= 17
    assert len(KINDS) > 40


@every_kind
def test_a_seed_stands_for_one_problem(kind):
    for seed in SEEDS[:3]:
        assert kind.make(seed) == kind.make(seed)
        assert str(kind.make(seed)) == str(kind.make(seed))


@every_kind
def test_seeds_make_different_problems_and_no_answer_is_nearly_always_right(kind):
    problems = [kind.make(seed) for seed in range(30)]
    assert len({(problem.question, problem.given) for problem in problems}) >= 6
    answers = [problem.solve() for problem in problems]
    assert max(answers.count(answer) for answer in set(answers)) < 26


@every_kind
def test_the_solution_is_right_and_anything_else_is_told_what_was_expected_and_why(kind):
    for seed in SEEDS:
        problem = kind.make(seed)
        solution = problem.solve()
        assert problem.check(solution).right
        reply = problem.check(another(solution))
        assert not reply.right
        assert "expected was" in reply.text
        assert len(problem.hint(another(solution))) > 20


@every_kind
def test_the_three_dots_give_nothing_away(kind):
    reply = kind.make(1).check(...)
    assert not reply.right
    assert reply.text == "Put your answer in place of the three dots."


@every_kind
def test_an_answer_of_the_wrong_kind_is_told_the_right_one(kind):
    problem = kind.make(1)
    number = isinstance(problem.solve(), int)
    for answer in ["three", 3.5, True, None] if number else [3, None]:
        reply = problem.check(answer)
        assert not reply.right
        assert ("must be a whole number" if number else "must be a word in quotes") in reply.text


@every_kind
def test_a_problem_shows_itself_as_text_and_as_html(kind):
    problem = kind.make(3)
    assert problem.given.rstrip() in str(problem)
    assert ("<pre>" in problem._repr_html_()) == bool(problem.given)
    reply = problem.check(another(problem.solve()))
    assert str(reply).startswith("Not yet. You answered")
    assert "<strong>Not yet.</strong>" in reply._repr_html_()
