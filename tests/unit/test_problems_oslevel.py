"""Exercises on containers are solved by the models."""

from xenlab.oslevel.steps import STEPS
from xenlab.problems.oslevel import WhichNumber, WhichStep


def test_some_processes_cannot_be_seen():
    numbers = {WhichNumber.make(seed).solve() for seed in range(40)}
    assert 0 in numbers
    assert len(numbers) > 3


def test_every_step_is_forgotten_now_and_then_and_a_wrong_one_gets_a_hint():
    problems = [WhichStep.make(seed) for seed in range(60)]
    assert {problem.solve() for problem in problems} == {step.name for step in STEPS}
    wrong = next(problem for problem in problems if problem.solve() != "net")
    assert "sees as the host does" in wrong.check("net").text
