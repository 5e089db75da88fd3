"""Simple Earliest Deadline First (2005 to 2015), as in ``xen/common/sched_sedf.c`` of Xen 3.1.

Each vCPU has a period and a slice of it that is guaranteed; of those that have some of their slice left, the one with
the earliest deadline runs. What nobody claims is *extra time*, given out in quanta of 500 µs: first to vCPUs that
blocked and so lost part of a slice, then to all that may have it. Each pCPU is scheduled on its own.

A domain with a weight and no cap gets its share of a 100 ms period; one with a cap gets just that, from each period of
`SedfParameters.period_ms`, and no extra time.

Left out: the latency hint, with which periods could be scaled down for a while.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from math import ceil
from typing import ClassVar

from xenlab.scheduling.clock import Clock
from xenlab.scheduling.core import Scheduler
from xenlab.scheduling.machine import SedfParameters
from xenlab.scheduling.parts import Dom, PCpu, VCpu
from xenlab.scheduling.trace import Trace
from xenlab.scheduling.workload import MS, SECOND, US

EXTRA_QUANTUM = 500 * US
WEIGHT_PERIOD = 100 * MS
WEIGHT_SAFETY = 5 * MS
EDF, PENALTY, UTILISATION = 0, -1, -2
#: Extra time of vCPUs that have no slice of their own to be scored by: `1 << 17` over an extra weight of 1.
UTILISATION_SCORE = 1 << 17


class SedfPCpu(PCpu):
    """A pCPU: `runq` (whose periods have begun, by deadline), who waits for a period, and who wants extra time."""

    __slots__ = ("expires", "extra", "waitq")

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.runq: list[SedfVCpu] = []
        self.waitq: list[SedfVCpu] = []  # by the beginning of their next period
        self.extra: dict[int, list[SedfVCpu]] = {PENALTY: [], UTILISATION: []}  # by score
        self.expires = 0.0


class SedfVCpu(VCpu):
    """A vCPU: its guarantee, its deadline, what it has had of its slice, and its standing for extra time."""

    __slots__ = (
        "blocked_at",
        "deadline",
        "extratime",
        "had",
        "lost",
        "period",
        "running_as",
        "score",
        "slice",
        "started",
        "wants_penalty",
    )

    def __init__(self, domain: Dom, number: int, affinity: int, cpu: PCpu) -> None:
        super().__init__(domain, number, affinity, cpu)
        self.period = WEIGHT_PERIOD
        self.slice = 0.0
        self.extratime = True
        self.deadline = 0.0
        self.had = 0.0
        self.started = 0.0
        self.blocked_at = 0.0
        self.lost = 0.0
        self.score: dict[int, float] = {PENALTY: 0.0, UTILISATION: 0.0}
        self.wants_penalty = False
        self.running_as: int = EDF

    @property
    def begins(self) -> float:
        """When its period begins, or has begun."""
        return self.deadline - self.period


class Sedf(Scheduler[Dom, SedfVCpu, SedfPCpu]):
    """Simple EDF. In its trace, credit is what is left of a vCPU's slice (ns)."""

    priorities: ClassVar[dict[int, str]] = {EDF: "EDF", PENALTY: "PENALTY", UTILISATION: "UTILISATION"}
    new_dom = Dom
    new_vcpu = SedfVCpu
    new_pcpu = SedfPCpu

    def __init__(
        self,
        parameters: SedfParameters,
        clock: Clock,
        pcpus: Sequence[int],
        trace: Trace | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(clock, pcpus, trace, seed)
        self.set_parameters(parameters)

    def set_parameters(self, parameters: SedfParameters) -> None:
        """Change the period of capped domains, and whether there is extra time."""
        self.period = parameters.period_ms * MS
        self.extratime = parameters.extratime
        self._share_periods()

    # Guarantees.

    def domain_joined(self, domain: Dom, now: float) -> None:
        """Divide periods anew."""
        self._share_periods()

    def domain_left(self, domain: Dom, now: float) -> None:
        """Divide periods anew."""
        self._share_periods()

    def set_weight(self, domain: Dom, weight: int, now: float) -> None:
        """Change the weight, and divide periods anew."""
        domain.weight = weight
        self._share_periods()

    def set_cap(self, domain: Dom, cap: int, now: float) -> None:
        """Give a domain a slice of its own and no extra time, or (0) its share by weight again."""
        domain.cap = cap
        self._share_periods()

    def _share_periods(self) -> None:
        """Set slices: those of caps first; the rest of each pCPU's period is shared by weight (``adjust_weights``)."""
        for cpu in self.cpus:
            here = [v for domain in self.doms.values() for v in domain.vcpus if v.cpu is cpu]
            claimed = 0.0
            for vcpu in here:
                cap = vcpu.domain.cap
                vcpu.extratime = self.extratime and not cap
                if not vcpu.extratime and vcpu in cpu.extra[UTILISATION]:
                    cpu.extra[UTILISATION].remove(vcpu)
                if cap:
                    vcpu.period = self.period
                    vcpu.slice = float(round(self.period * cap / 100 / len(vcpu.domain.vcpus)))
                    claimed += WEIGHT_PERIOD * vcpu.slice / vcpu.period
            weighted = [vcpu for vcpu in here if not vcpu.domain.cap]
            total = sum(vcpu.domain.weight for vcpu in weighted)
            rest = max(WEIGHT_PERIOD - WEIGHT_SAFETY - claimed, 0.0)
            for vcpu in weighted:
                vcpu.period = WEIGHT_PERIOD
                vcpu.slice = vcpu.domain.weight * rest // total

    def pick(self, vcpu: SedfVCpu) -> SedfPCpu:
        """The pCPU with the fewest vCPUs."""
        return self.least_occupied(vcpu)

    def move(self, vcpu: SedfVCpu, cpu: SedfPCpu, now: float) -> None:
        """Move to `cpu`, where periods are divided anew."""
        vcpu.cpu = cpu
        self._share_periods()

    # Waking and sleeping.

    def wake(self, vcpu: SedfVCpu, now: float) -> None:
        """Queue a vCPU that has become runnable, by how long it has been blocked (``sedf_wake``)."""
        cpu = vcpu.cpu
        if not vcpu.deadline:
            vcpu.deadline = now + vcpu.slice
        if now < vcpu.begins:  # it blocked in extra time
            if vcpu.wants_penalty:
                _add(cpu, PENALTY, vcpu)
        elif (
            now < vcpu.deadline
        ):  # it blocked in this period: the rest of the slice is lost, and compensated for
            vcpu.deadline += vcpu.period
            if vcpu.blocked_at:
                vcpu.lost = max(vcpu.slice - vcpu.had, 0.0)
                if vcpu.lost:
                    vcpu.score[PENALTY] = vcpu.period * 1024 // vcpu.lost
                    vcpu.wants_penalty = True
                    _add(cpu, PENALTY, vcpu)
            vcpu.had = 0.0
        else:  # it has missed its deadline: a new period begins now
            vcpu.deadline = now + vcpu.period
            vcpu.had = 0.0
        if vcpu.extratime:
            _add(cpu, UTILISATION, vcpu)
        if vcpu.begins > now:
            insort(cpu.waitq, vcpu, key=_begins)
        else:
            insort(cpu.runq, vcpu, key=_deadline)
        if self._should_switch(cpu, vcpu):
            self.poke(cpu)

    def _should_switch(self, cpu: SedfPCpu, other: SedfVCpu) -> bool:
        current: SedfVCpu | None = cpu.current
        if other.begins < cpu.expires or current is None:
            return True
        if current.running_as == PENALTY:
            return other.wants_penalty and other.score[PENALTY] < current.score[PENALTY]
        return current.running_as == UTILISATION and other.wants_penalty

    def sleep(self, vcpu: SedfVCpu, now: float) -> None:
        """Take a vCPU that is no longer runnable off its pCPU, or all of its queues (``sedf_sleep``)."""
        if vcpu.cpu.current is vcpu:
            self.poke(vcpu.cpu)
        else:
            _drop(vcpu)

    # Deciding.

    def schedule(self, cpu: SedfPCpu, now: float) -> tuple[SedfVCpu | None, float]:
        """Pick the earliest deadline, or else somebody for extra time (``sedf_do_schedule``)."""
        current: SedfVCpu | None = cpu.current
        if current is not None:
            if current.flags:
                current.blocked_at = now
            if current.running_as == EDF:
                self._end_slice(cpu, current, now)
            else:
                self._end_extra(cpu, current, current.running_as, now)
        self._update_queues(cpu, now)
        next_begin = cpu.waitq[0].begins if cpu.waitq else now + SECOND
        chosen: SedfVCpu | None = None
        time = next_begin - now
        if cpu.runq:
            chosen = cpu.runq[0]
            time = min(chosen.slice - chosen.had, time)
        elif time >= EXTRA_QUANTUM:
            for level, queue in cpu.extra.items():
                if queue:
                    chosen, time = queue[0], EXTRA_QUANTUM
                    chosen.running_as = level
                    break
        if chosen is not None:
            chosen.started = now
            self.pri[chosen.index] = chosen.running_as
            self.credit[chosen.index] = int(chosen.slice - chosen.had)
        cpu.expires = now + time
        return chosen, time

    def _end_slice(self, cpu: SedfPCpu, vcpu: SedfVCpu, now: float) -> None:
        """Charge a vCPU that ran in its slice; if that is used up, it waits for a new one (``desched_edf_dom``)."""
        vcpu.had += now - vcpu.started
        self.credit[vcpu.index] = int(vcpu.slice - vcpu.had)
        if vcpu.had < vcpu.slice and not vcpu.flags:
            return
        if vcpu in cpu.runq:
            cpu.runq.remove(vcpu)
        if vcpu.had >= vcpu.slice:
            vcpu.had -= vcpu.slice
            vcpu.deadline += vcpu.period
        if vcpu.flags:
            _drop(vcpu)
        else:
            insort(cpu.waitq, vcpu, key=_begins)

    def _end_extra(self, cpu: SedfPCpu, vcpu: SedfVCpu, level: int, now: float) -> None:
        """Put a vCPU that has run in extra time behind the others that want some (``desched_extra_dom``)."""
        vcpu.running_as = EDF
        vcpu.had = 0.0
        if vcpu in cpu.extra[level]:  # unless it has been capped since
            cpu.extra[level].remove(vcpu)
        old_score = vcpu.score[level]
        if level == PENALTY:
            vcpu.lost = 0.0
            vcpu.wants_penalty = False
        else:
            vcpu.score[UTILISATION] = UTILISATION_SCORE
            if vcpu.extratime and not vcpu.flags:
                for other in cpu.extra[UTILISATION]:
                    other.score[UTILISATION] -= old_score
                _add(cpu, UTILISATION, vcpu)
        if vcpu.flags:
            _drop(vcpu)

    def _update_queues(self, cpu: SedfPCpu, now: float) -> None:
        """Begin the periods that are due; send on who has no slice, or missed a deadline (``update_queues``)."""
        while cpu.waitq and cpu.waitq[0].begins <= now:
            insort(cpu.runq, cpu.waitq.pop(0), key=_deadline)
        while cpu.runq:
            vcpu = cpu.runq[0]
            if not vcpu.slice:
                vcpu.deadline += vcpu.period * max(
                    1, 1 + ceil((now - vcpu.begins - vcpu.period) / vcpu.period)
                )
            elif vcpu.deadline < now or vcpu.had > vcpu.slice:
                vcpu.deadline += vcpu.period * max(
                    1, 1 + ceil((now - vcpu.deadline - vcpu.period) / vcpu.period)
                )
                vcpu.had = 0.0
            else:
                break
            cpu.runq.pop(0)
            if vcpu.begins > now or not vcpu.slice:
                insort(cpu.waitq, vcpu, key=_begins)
            else:
                insort(cpu.runq, vcpu, key=_deadline)


def _begins(vcpu: SedfVCpu) -> float:
    return vcpu.begins


def _deadline(vcpu: SedfVCpu) -> float:
    return vcpu.deadline


def _add(cpu: SedfPCpu, level: int, vcpu: SedfVCpu) -> None:
    if vcpu not in cpu.extra[level]:
        insort(cpu.extra[level], vcpu, key=lambda other: other.score[level])


def _drop(vcpu: SedfVCpu) -> None:
    for queue in (vcpu.cpu.runq, vcpu.cpu.waitq, *vcpu.cpu.extra.values()):
        if vcpu in queue:
            queue.remove(vcpu)
