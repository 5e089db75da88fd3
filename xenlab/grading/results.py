"""What grading finds out: for each check, each task, each submission. Plain data, which goes to JSON and back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self


class State(StrEnum):
    """How a check or a task ended."""

    PASS = "pass"  # the evidence is that of the reference
    PARTIAL = "partial"  # of a task: some of its checks passed
    FAIL = "fail"  # the evidence differs
    ERROR = "error"  # the answer, or the check, raised an exception
    TIMEOUT = "timeout"  # it did not end in time
    CRASH = "crash"  # the kernel died
    OUTPUT_LIMIT = "output-limit"  # it printed more than is read
    SKIPPED = "skipped"  # it was not run: nothing was handed in for it


@dataclass(frozen=True)
class CheckResult:
    """One check: its cell's id, how it ended, the points earned of those possible, what to tell the student."""

    cell: str
    hidden: bool
    state: State
    points: float
    possible: float
    feedback: str


@dataclass(frozen=True)
class TaskResult:
    """One task: how it ended, and its checks."""

    task: str
    state: State
    checks: tuple[CheckResult, ...]

    @property
    def points(self) -> float:
        """The points earned."""
        return sum(check.points for check in self.checks)

    @property
    def possible(self) -> float:
        """The points that could be earned."""
        return sum(check.possible for check in self.checks)


@dataclass(frozen=True)
class Result:
    """One submission, graded.

    `notes` are remarks on the notebook itself (a cell twice, another student's name in it); `problem` says why
    nothing could be run at all (not a notebook, too large), None if it could. `digest` is the SHA-256 of what
    was handed in, `sandbox` what it was run in, in words.
    """

    student: str
    lab: str
    digest: str
    tasks: tuple[TaskResult, ...]
    notes: tuple[str, ...]
    problem: str | None
    seconds: float
    sandbox: str

    @property
    def points(self) -> float:
        """The points earned."""
        return sum(task.points for task in self.tasks)

    @property
    def possible(self) -> float:
        """The points that could be earned."""
        return sum(task.possible for task in self.tasks)

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Take what `to_json` returned, also after a way through JSON text.

        >>> check = CheckResult("a-1", False, State.PASS, 1, 1, "")
        >>> result = Result("ana", "02", "00", (TaskResult("a", State.PASS, (check,)),), (), None, 0.5, "bwrap")
        >>> Result.from_json(result.to_json()) == result
        True
        """
        tasks = tuple(
            TaskResult(
                task["task"],
                State(task["state"]),
                tuple(CheckResult(**{**check, "state": State(check["state"])}) for check in task["checks"]),
            )
            for task in data["tasks"]
        )
        return cls(**{**data, "tasks": tasks, "notes": tuple(data["notes"])})
