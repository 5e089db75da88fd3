"""How fast the scheduler models run: events a second beside a bare SimPy loop's, heap beside SimPy, and a what-if.

An event is a call of the scheduler: a tick, the end of a slice, an accounting. Both drivers of the package are woken
once for all that falls on one instant, so that the scheduler itself takes most of the time under either, and the heap
gains little over SimPy. What that is worth shows beside SimPy as it is mostly written: a process for every timer.
All take turns in every round, so that what else the machine does slows all of them down; all make the same trace.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from itertools import cycle
from typing import Any

import simpy

from bench.row import Row, seconds
from xenlab.scheduling import CreditParameters, Domain, System, simulate
from xenlab.scheduling.clock import Action, Clock, HeapClock
from xenlab.scheduling.simpy_clock import SimpyClock
from xenlab.scheduling.simulate import new_scheduler
from xenlab.scheduling.trace import Trace
from xenlab.scheduling.view import WhatIf

PCPUS, VCPUS, SECONDS = 16, 128, 60.0
SYSTEM = System(tuple(Domain(f"d{number}") for number in range(VCPUS)), PCPUS)
SIX = System(tuple(Domain(f"d{number}") for number in range(6)), 2)


class CountingClock(HeapClock):
    """Counts the calls that a scheduler asks for."""

    asked = 0

    def at(self, time: float, action: Action, subjects: list[Any]) -> None:
        self.asked += len(subjects)
        super().at(time, action, subjects)


class ProcessClock(SimpyClock):
    """SimPy as it is mostly written: every timer is a process that waits, and then calls."""

    def at(self, time: float, action: Action, subjects: list[Any]) -> None:
        for subject in subjects:
            self.env.process(self._timer(time, action, subject))

    def _timer(self, time: float, action: Action, subject: Any) -> Any:
        yield self.env.timeout(time - self.env.now)
        self.now = time
        action(time, [subject])


def drive(clock: Clock, seconds: float = SECONDS) -> Trace:
    """Run the system that is measured by this clock."""
    trace = Trace()
    scheduler = new_scheduler(CreditParameters(), clock, range(PCPUS), trace)
    for domain in SYSTEM.domains:
        scheduler.add(domain, 0.0)
    clock.run(seconds * 1e9)
    return trace


def count_events() -> int:
    """Return how many ticks, slice ends and accountings there are in the run that is measured."""
    clock = CountingClock()
    drive(clock)
    return clock.asked


def bare_loop(events: int) -> None:
    """Round robin of as many vCPUs on as many pCPUs in SimPy, and no scheduler: one event a quantum."""
    env = simpy.Environment()
    queue = deque(range(VCPUS))
    used = [0] * VCPUS

    def pcpu() -> Any:
        while True:
            vcpu = queue.popleft()
            yield env.timeout(10)
            used[vcpu] += 10
            queue.append(vcpu)

    for _ in range(PCPUS):
        env.process(pcpu())
    env.run(10 * events / PCPUS)


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def what_if() -> None:
    """Run six vCPUs on two pCPUs for 10 s, and make of it what a picture needs: bars, lines of credit, shares."""
    run = simulate(SIX, 10)
    assert run.bars
    assert run.credits
    assert run.shares


def slider() -> Callable[[], object]:
    """Moving a slider of the chapter's widget over the same six vCPUs: picture, captions and shares anew."""
    widget, weights = WhatIf(SIX), cycle((128, 256, 512))
    return lambda: widget.set("d0", weight=next(weights))


def rows() -> list[Row]:
    """Measure; the drivers are compared in processor time, the what-if as it is waited for."""
    events = count_events()
    clocks: tuple[type[Clock], ...] = (HeapClock, SimpyClock, ProcessClock)
    one, *others = (list(drive(clock(), 1.0)) for clock in clocks)
    assert all(other == one for other in others)
    rounds = [
        [cpu_seconds(lambda: bare_loop(events)), *(cpu_seconds(lambda c=c: drive(c())) for c in clocks)]
        for _ in range(7)
    ]
    name = f"credit, {PCPUS} pCPUs, {VCPUS} busy vCPUs, {SECONDS:g} s ({events} events)"
    return [
        Row(
            f"{name}: SimPy driver's events/s of a bare SimPy loop's",
            tuple(100 * bare / simpy_ for bare, _, simpy_, _ in rounds),
            "%",
            50,
            at_least=True,
        ),
        Row(
            f"{name}: heap driver against SimPy with a process for every timer, same trace",
            tuple(process / heap for _, heap, _, process in rounds),
            "×",
            None,
        ),
        Row(
            f"{name}: heap driver against the SimPy driver, same trace",
            tuple(simpy_ / heap for _, heap, simpy_, _ in rounds),
            "×",
            3,
            at_least=True,
        ),
        Row(
            f"{name}: heap driver",
            tuple(events / heap / 1000 for _, heap, _, _ in rounds),
            "thousand events/s",
            None,
        ),
        Row(
            "what-if, 2 pCPUs, 6 vCPUs, 10 s: run, bars, credits, shares",
            tuple(1000 * taken for taken in seconds(what_if, 15)),
            "ms",
            150,
        ),
        Row(
            "a slider of the what-if's widget moved: run, picture, captions, shares",
            tuple(1000 * taken for taken in seconds(slider(), 15)),
            "ms",
            150,
        ),
    ]
