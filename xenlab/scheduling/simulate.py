"""Run a system for a while: what each vCPU got, and all that happened; or just the shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from xenlab.scheduling.bvt import Bvt
from xenlab.scheduling.clock import Clock, HeapClock
from xenlab.scheduling.core import Scheduler
from xenlab.scheduling.credit import Credit
from xenlab.scheduling.credit2 import Credit2
from xenlab.scheduling.machine import (
    BvtParameters,
    Credit2Parameters,
    CreditParameters,
    Parameters,
    SedfParameters,
    System,
)
from xenlab.scheduling.sedf import Sedf
from xenlab.scheduling.trace import Bar, Trace
from xenlab.scheduling.workload import SECOND, US

if TYPE_CHECKING:
    import pandas as pd

POLICIES: dict[type[Parameters], Any] = {
    CreditParameters: Credit,
    Credit2Parameters: Credit2,
    BvtParameters: Bvt,
    SedfParameters: Sedf,
}


Driver = Literal["heap", "simpy"]


def new_clock(driver: Driver, late_us: float = 0.0, seed: int = 0) -> Clock:
    """A clock at time 0, whose timers are late by `late_us` on average."""
    if driver == "heap":
        return HeapClock(late_us * US, seed)
    from xenlab.scheduling.simpy_clock import SimpyClock  # here, so that the heap alone does not load SimPy

    return SimpyClock(late=late_us * US, seed=seed)


def new_scheduler(
    parameters: Parameters, clock: Clock, pcpus: Sequence[int], trace: Trace | None = None, seed: int = 0
) -> Scheduler[Any, Any, Any]:
    """The scheduler that takes these parameters, over these pCPUs, with no domains yet."""
    policy: type[Scheduler[Any, Any, Any]] = POLICIES[type(parameters)]
    return policy(parameters, clock, pcpus, trace, seed)  # type: ignore[arg-type, call-arg]


@dataclass(frozen=True)
class Run:
    """A simulated run of a system."""

    system: System
    seconds: float
    trace: Trace
    vcpu_seconds: dict[str, float]
    priorities: dict[int, str]

    @property
    def vcpu_shares(self) -> dict[str, float]:
        """What each vCPU got of one pCPU, from 0 to 1."""
        return {name: seconds / self.seconds for name, seconds in self.vcpu_seconds.items()}

    @property
    def shares(self) -> dict[str, float]:
        """What each domain got, in pCPUs: 1.5 is all the time of one and half that of another."""
        got = self.vcpu_shares
        return {domain.name: sum(got[name] for name in domain.vcpu_names) for domain in self.system.domains}

    @cached_property
    def table(self) -> pd.DataFrame:
        """The trace: time (s), pcpu, vcpu, credit, priority, event."""
        return self.trace.table(self.priorities)

    @cached_property
    def bars(self) -> list[Bar]:
        """Who was on which pCPU, when (ns)."""
        return self.trace.bars(self.seconds * SECOND)

    @cached_property
    def credits(self) -> dict[str, list[tuple[float, int]]]:
        """For each vCPU a line to draw: times (ns) and its credit then; two points at one time are a jump."""
        return self.trace.credits()


def simulate(system: System, seconds: float = 10.0, *, driver: Driver = "heap", seed: int = 0) -> Run:
    """Run `system` for `seconds` of simulated time.

    Arguments: the system; how long; the driver of its clock, a bare heap or SimPy, which changes nothing but the
    speed; and the seed of random workloads. Two domains on one pCPU, one of twice the other's weight:

    >>> from xenlab.scheduling import Domain, System
    >>> run = simulate(System((Domain("web", weight=512), Domain("db")), pcpus=1), seconds=6)
    >>> {name: round(share, 2) for name, share in run.shares.items()}
    {'web': 0.67, 'db': 0.33}
    """
    trace = Trace()
    scheduler = _run(system, seconds, new_clock(driver, system.late_us, seed), trace, seed)
    return Run(system, seconds, trace, _cpu_seconds(scheduler, seconds), scheduler.priorities)


def predict(system: System, seconds: float = 60.0, *, seed: int = 0) -> dict[str, float]:
    """The share of one pCPU that each domain will get, from 0 to the number of its vCPUs: `simulate` without a trace.

    >>> from xenlab.scheduling import Domain, System
    >>> shares = predict(System((Domain("capped", cap=25), Domain("other")), pcpus=1))
    >>> {name: round(share, 2) for name, share in shares.items()}
    {'capped': 0.25, 'other': 0.75}
    """
    scheduler = _run(system, seconds, new_clock("heap", system.late_us, seed), None, seed)
    return Run(system, seconds, Trace(), _cpu_seconds(scheduler, seconds), {}).shares


def _run(
    system: System, seconds: float, clock: Clock, trace: Trace | None, seed: int
) -> Scheduler[Any, Any, Any]:
    scheduler = new_scheduler(system.scheduler, clock, system.pcpu_numbers, trace, seed)
    for domain in system.domains:
        scheduler.add(domain, 0.0)
    clock.run(seconds * SECOND)
    return scheduler


def _cpu_seconds(scheduler: Scheduler[Any, Any, Any], seconds: float) -> dict[str, float]:
    now = seconds * SECOND
    return {vcpu.name: scheduler.cpu_time(vcpu, now) / SECOND for vcpu in scheduler.vcpus}
