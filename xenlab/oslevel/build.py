"""Build a container for real: a process that goes through the steps, and what it saw after each."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xenlab.commands import XenlabError
from xenlab.oslevel.cgroup import cpu_group
from xenlab.oslevel.steps import STEPS, Step, View, after
from xenlab.ui.costs import Cost

DEADLINE = 30.0  # seconds
RUNS = 5


@dataclass(frozen=True)
class Built:
    """One step: what the process sees after it, and what the kernel said if it refused.

    Where it refused, the view is what it *would* have been: the model's, and `simulated`.
    """

    step: Step
    view: View
    refused: str | None = None

    @property
    def simulated(self) -> bool:
        """Does the model stand in for the kernel here?"""
        return self.refused is not None


@dataclass(frozen=True)
class Container:
    """A container that was built: what the host saw before, each step, and what the program in it printed."""

    host: View
    steps: tuple[Built, ...]
    output: str


def build(program: Sequence[str] = (), steps: Sequence[Step] = STEPS) -> Container:
    """Build a container, without any right, and run a program in it.

    It takes about two seconds; the container ends with its program, and leaves nothing. Each step that the kernel
    refuses here is told, and the model takes it over.

    Args:
        program: What to run in the end, with its arguments; nothing unless given.
        steps: Which steps to take.

    Raises:
        XenlabError: The process ended at once, or not within 30 s.

    """
    with tempfile.TemporaryDirectory(prefix="xenlab-container-") as folder, cpu_group() as group:
        subprocess.run(["chmod", "755", folder], check=True)  # the process is another user
        words = [folder, ",".join(step.name for step in steps), ",".join(map(str, group)), *program]
        try:
            done = subprocess.run(
                [sys.executable, "-m", "xenlab.oslevel.inside", *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=DEADLINE,
            )
        except subprocess.TimeoutExpired as error:
            raise XenlabError(f"the container must end within {DEADLINE:.0f} s, and was ended") from error
    facts: list[str] = []
    rest: list[str] = []
    for line in done.stdout.splitlines():
        (facts if line.startswith('{"step": ') else rest).append(line)
    if len(facts) != len(steps) + 1:
        raise XenlabError(
            f"the container's process must report {len(steps)} steps, and ended: {done.stderr[-400:]}"
        )
    host, *told = map(json.loads, facts)
    return Container(_view(host["view"]), _merge(_view(host["view"]), steps, told), "\n".join(rest))


def _merge(start: View, steps: Sequence[Step], told: Sequence[dict[str, Any]]) -> tuple[Built, ...]:
    built, view = [], start
    for step, fact in zip(steps, told, strict=True):
        refused = fact.get("refused")
        view = after(view, step) if refused else _view(fact["view"])
        built.append(Built(step, view, refused))
    return tuple(built)


def _view(stored: dict[str, Any]) -> View:
    lists = {name: tuple(value) for name, value in stored.items() if isinstance(value, list)}
    return View(**(stored | lists))


def start_costs() -> tuple[Cost, ...]:
    """Measure what it costs to start a program, alone and in namespaces of its own, in turns (the program `unshare`).

    The second is left out where the kernel refuses it.
    """
    ways = {
        "a process": ["true"],
        "a process in namespaces of its own": ["unshare", "-Urmpnu", "--fork", "true"],
    }
    runs: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(RUNS):
        for way, argv in ways.items():
            begin = time.perf_counter_ns()
            if subprocess.run(argv, capture_output=True).returncode == 0:
                runs[way].append(float(time.perf_counter_ns() - begin))
    return tuple(Cost(way, tuple(each)) for way, each in runs.items() if each)
