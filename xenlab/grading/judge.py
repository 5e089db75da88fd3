"""From how cells ended to states, points and words for the student. Pure: no notebook is run here."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from xenlab.grading.evidence import evidence_in
from xenlab.grading.lab import Check, Lab, Task
from xenlab.grading.results import CheckResult, State, TaskResult

Outputs = list[dict[str, Any]]
_LONG = 600  # characters of a value that feedback shows
_WORDS = {
    State.TIMEOUT: "stopped",
    State.CRASH: "crashed",
    State.OUTPUT_LIMIT: "stopped",
}


@dataclass(frozen=True)
class Outcome:
    """How one cell ended: as nbval found, or how the engine had to end it.

    `expected` and `got` are the outputs of the reference and of the submission; `message` says what went wrong, in
    one line: an exception's name and text, or what limit was reached.
    """

    cell: str
    state: State
    expected: Outputs = field(default_factory=list)
    got: Outputs = field(default_factory=list)
    message: str = ""


def judge(lab: Lab, outcomes: Mapping[str, Outcome], missing: Collection[str] = ()) -> tuple[TaskResult, ...]:
    """Give each task of a lab its state and points; those that are `missing`, or not run, were not handed in."""
    return tuple(_task(task, outcomes, task.name in missing) for task in lab.tasks)


def _task(task: Task, outcomes: Mapping[str, Outcome], missing: bool) -> TaskResult:
    answers = [outcomes[cell] for cell in task.answers if cell in outcomes]
    checks = tuple(
        _skipped(check)
        if missing or check.cell not in outcomes
        else _check(check, outcomes[check.cell], answers)
        for check in task.checks
    )
    return TaskResult(task.name, _summary(checks), checks)


def _summary(checks: tuple[CheckResult, ...]) -> State:
    """A task's state: pass if all of its checks pass, partial if some do, else that of the first."""
    passed = [check.state is State.PASS for check in checks]
    if all(passed):
        return State.PASS
    return State.PARTIAL if any(passed) else checks[0].state


def _skipped(check: Check) -> CheckResult:
    words = f"nothing was handed in for task {check.task}"
    return CheckResult(check.cell, check.hidden, State.SKIPPED, 0, check.points, words)


def _check(check: Check, outcome: Outcome, answers: list[Outcome]) -> CheckResult:
    points = check.points if outcome.state is State.PASS else 0
    feedback = _feedback(check, outcome, answers)
    return CheckResult(check.cell, check.hidden, outcome.state, points, check.points, feedback)


def _feedback(check: Check, outcome: Outcome, answers: list[Outcome]) -> str:
    """Say what was expected, what came, and what to look at. A hidden check gives away no value."""
    match outcome.state:
        case State.PASS:
            return ""
        case State.FAIL if check.hidden:
            found = "what your answer gives in a case you have not seen differs from the reference"
        case State.FAIL:
            found = f"expected {_text(outcome.expected)}\ngot      {_text(outcome.got)}"
        case State.ERROR:
            found = _raised(check, outcome, answers)
        case _:
            found = f"{_WORDS[outcome.state]}: {outcome.message}"
    return "\n".join((found, *(f"Hint: {hint}" for hint in check.hints)))


def _raised(check: Check, outcome: Outcome, answers: list[Outcome]) -> str:
    """Name the exception that came first: that of the answer, if the answer raised one."""
    for answer in answers:
        if answer.state is State.ERROR:
            return f"your answer raised {_cut(answer.message)}"
    if check.hidden:
        return f"in a case you have not seen your answer raised {_known(outcome.message.partition(':')[0])}"
    return f"the check of your answer raised {_cut(outcome.message)}"


def _known(exception: str) -> str:
    """Name an exception of Python's own alone: any other name could carry out what a hidden check holds."""
    return exception if hasattr(builtins, exception) else "an exception"


def _text(outputs: Outputs) -> str:
    """The evidence among outputs, a line each."""
    return _cut("\n".join(evidence_in(outputs))) or "nothing"


def _cut(text: str) -> str:
    return text if len(text) <= _LONG else f"{text[:_LONG]}… ({len(text):,} characters)"
