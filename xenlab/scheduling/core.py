"""What all of Xen's schedulers share (``xen/common/sched/core.c``): vCPUs that run, block and wake on pCPUs.

`Scheduler` is a state machine. It hears that a timer went off or that a vCPU's state was changed, and it speaks only
by asking its clock for the next call and by writing its trace. A policy (credit, credit2, ...) is a subclass that
answers a handful of questions: what to do on a wake-up, whom to run next and for how long.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from xenlab.scheduling.clock import Action, Clock
from xenlab.scheduling.machine import Domain, SchedulingError, check_cap, check_weight
from xenlab.scheduling.trace import Event, Trace
from xenlab.scheduling.workload import NEVER, Burst, Workload

# Why a vCPU is not runnable (`VPF_*` in Xen); none of them: it is.
BLOCKED, PAUSED, PARKED, MIGRATING = 1, 2, 4, 8


class PCpu:
    """A physical processor: what runs on it, its run queue, and its timer."""

    __slots__ = ("armed", "bit", "current", "deadline", "fire", "number", "runq")

    def __init__(self, number: int) -> None:
        self.number = number
        self.bit = 1 << number
        self.current: Any = None
        self.runq: list[Any] = []
        self.deadline = NEVER  # when the slice or the burst of what runs here ends
        self.armed = NEVER  # for when the clock was asked to call
        self.fire: Action


class Dom:
    """A domain in its scheduler."""

    __slots__ = ("cap", "name", "vcpus", "weight")

    def __init__(self, spec: Domain) -> None:
        self.name = spec.name
        self.weight = spec.weight
        self.cap = 0
        self.vcpus: list[Any] = []


class VCpu:
    """A virtual processor.

    `flags` say why it is not runnable. `entered` is when it began to run, `cpu_time` how long it had run before that,
    and `goal` the `cpu_time` at which the run of its burst is done.
    """

    __slots__ = (
        "affinity",
        "burst",
        "bursts",
        "cpu",
        "cpu_time",
        "credit",
        "domain",
        "entered",
        "flags",
        "goal",
        "name",
        "number",
        "pri",
        "wake_at",
        "waker",
    )

    def __init__(self, domain: Dom, number: int, affinity: int, cpu: PCpu) -> None:
        self.domain: Any = domain
        self.number = number
        self.name = f"{domain.name}.{number}"
        self.affinity = affinity
        self.cpu: Any = cpu
        self.credit = 0
        self.pri = 0
        self.flags = PAUSED
        self.entered = 0
        self.cpu_time = 0
        self.goal = 0
        self.bursts: Iterator[Burst]
        self.burst = Burst(0)
        self.wake_at = NEVER
        self.waker: Action


D = TypeVar("D", bound=Dom)
V = TypeVar("V", bound=VCpu)
P = TypeVar("P", bound=PCpu)


def next_in_cycle(number: int, mask: int) -> int:
    """The first member of `mask` after `number`, going round (``cpumask_cycle``); `mask` must not be empty.

    >>> next_in_cycle(1, 0b1011), next_in_cycle(3, 0b1011)
    (3, 0)
    """
    above = mask >> (number + 1) << (number + 1)
    rest = above or mask
    return (rest & -rest).bit_length() - 1


class Scheduler(ABC, Generic[D, V, P]):
    """A set of pCPUs and the domains on them, under one policy.

    `clock` calls it back, `trace` (if any) is its diary, and `seed` decides the chance in workloads. Times are in ns.
    """

    #: Names of the priorities in the trace, where the policy has any.
    priorities: ClassVar[dict[int, str]] = {}
    new_dom: Callable[[Domain], D]
    new_vcpu: Callable[[D, int, int, P], V]
    new_pcpu: Callable[[int], P]

    def __init__(self, clock: Clock, pcpus: Sequence[int], trace: Trace | None = None, seed: int = 0) -> None:
        self.clock = clock
        self.trace = trace
        self.seed = seed
        self.cpus: tuple[P, ...] = tuple(self.new_pcpu(number) for number in pcpus)
        self.by_number: dict[int, P] = {cpu.number: cpu for cpu in self.cpus}
        self.all_cpus = sum(cpu.bit for cpu in self.cpus)
        self.doms: dict[str, D] = {}
        self.vcpus: tuple[V, ...] = ()
        self.poked: list[P] = []  # pCPUs on which the scheduler must run (SCHEDULE_SOFTIRQ)
        self.record = trace.rows.append if trace is not None else None
        for cpu in self.cpus:
            cpu.fire = self._timer_of(cpu)

    # What a policy answers.

    @abstractmethod
    def schedule(self, cpu: P, now: int) -> tuple[V | None, int]:
        """Whom to run on `cpu` now (None: nobody), and for how long at most."""

    @abstractmethod
    def wake(self, vcpu: V, now: int) -> None:
        """`vcpu` has become runnable: queue it, and poke the pCPU that should look at it."""

    @abstractmethod
    def sleep(self, vcpu: V, now: int) -> None:
        """`vcpu` has ceased to be runnable: poke the pCPU it runs on, or take it off its queue."""

    @abstractmethod
    def pick(self, vcpu: V) -> P:
        """The pCPU on which `vcpu` had best be."""

    def move(self, vcpu: V, cpu: P, now: int) -> None:
        """`vcpu`, which neither runs nor waits, goes to `cpu`."""
        vcpu.cpu = cpu

    def descheduled(self, vcpu: V, now: int) -> None:
        """`vcpu` has just left its pCPU (``unit_context_saved``): if it is to go to another, it goes now."""
        if vcpu.flags & MIGRATING:
            self._migrate(vcpu, now)

    def domain_joined(self, domain: D, now: int) -> None:
        """`domain` is new, and its vCPUs are about to wake."""

    def domain_left(self, domain: D, now: int) -> None:
        """`domain` has gone; none of its vCPUs runs or waits."""

    def set_weight(self, domain: D, weight: int, now: int) -> None:
        """Change `domain`'s weight."""
        domain.weight = weight

    def set_cap(self, domain: D, cap: int, now: int) -> None:
        """Change `domain`'s cap."""
        domain.cap = cap

    # What is done to domains from outside.

    def add(self, spec: Domain, now: int) -> None:
        """Create the domain `spec` and let it run."""
        if spec.name in self.doms:
            raise SchedulingError(f"domain {spec.name} is already here; choose another name")
        domain = self.new_dom(spec)
        for number, affinity in enumerate(spec.affinities):
            mask = self._mask(affinity)
            vcpu = self.new_vcpu(domain, number, mask, self.by_number[next_in_cycle(-1, mask)])
            vcpu.waker = self._waker_of(vcpu)
            domain.vcpus.append(vcpu)
        self.doms[spec.name] = domain
        self._list_vcpus()
        for vcpu in domain.vcpus:
            vcpu.cpu = self.pick(vcpu)
        self.domain_joined(domain, now)
        self.set_cap(domain, spec.cap, now)
        for vcpu, workload in zip(domain.vcpus, spec.workloads, strict=True):
            self.set_workload(vcpu, workload, now)
        self.unpause(spec.name, now)

    def remove(self, name: str, now: int) -> None:
        """Destroy the domain."""
        self.pause(name, now)
        domain = self.doms.pop(name)
        for vcpu in domain.vcpus:
            vcpu.wake_at = NEVER
        self.domain_left(domain, now)
        self._list_vcpus()

    def pause(self, name: str, now: int) -> None:
        """Keep the domain's vCPUs off the pCPUs until it is unpaused."""
        for vcpu in self.dom(name).vcpus:
            vcpu.flags |= PAUSED
            self.sleep(vcpu, now)
        self.settle(now)

    def unpause(self, name: str, now: int) -> None:
        """Let a paused domain go on."""
        for vcpu in self.dom(name).vcpus:
            if vcpu.flags & PAUSED:
                self.clear(vcpu, PAUSED, now)
                self.settle(now)

    def adjust(self, name: str, now: int, weight: int | None = None, cap: int | None = None) -> None:
        """Change a domain's weight, cap, or both (``xl sched-credit -w -c``)."""
        domain = self.dom(name)
        if weight is not None:
            check_weight(weight)
        if cap is not None:
            check_cap(cap, len(domain.vcpus))
        if weight is not None:
            self.set_weight(domain, weight, now)
        if cap is not None:
            self.set_cap(domain, cap, now)
        self.settle(now)

    def pin(self, vcpu: V, cpus: Sequence[int] | None, now: int) -> None:
        """Change the pCPUs on which `vcpu` may run, None for all (``xl vcpu-pin``)."""
        vcpu.affinity = self._mask(cpus)
        vcpu.flags |= MIGRATING
        self.sleep(vcpu, now)
        self.settle(now)  # if it ran, it has been moved now
        if vcpu.flags & MIGRATING:
            self._migrate(vcpu, now)
            self.settle(now)

    def set_workload(self, vcpu: V, workload: Workload, now: int) -> None:
        """Give `vcpu` something else to do, from now on."""
        vcpu.bursts = workload.bursts(random.Random(f"{self.seed} {vcpu.name}"))
        vcpu.burst = Burst(0)
        vcpu.wake_at = NEVER
        was_blocked = vcpu.flags & BLOCKED
        vcpu.flags &= ~BLOCKED
        self._next_burst(vcpu, now)
        if vcpu.flags & BLOCKED:
            self.sleep(vcpu, now)
        elif vcpu.cpu.current is vcpu:
            self.poke(vcpu.cpu)
        elif was_blocked and not vcpu.flags:
            self.wake(vcpu, now)
        self.settle(now)

    # What is asked from outside.

    def dom(self, name: str) -> D:
        """The domain of that name; `SchedulingError` if there is none."""
        if name not in self.doms:
            raise SchedulingError(f"there is no domain {name}; there are: {', '.join(self.doms) or 'none'}")
        return self.doms[name]

    def cpu_time(self, vcpu: V, now: int) -> int:
        """How long `vcpu` has run, in ns."""
        return vcpu.cpu_time + (now - vcpu.entered if vcpu.cpu.current is vcpu else 0)

    # The machinery.

    def poke(self, cpu: P) -> None:
        """Have the scheduler run on `cpu` as soon as what is being done now is done."""
        if cpu not in self.poked:
            self.poked.append(cpu)

    def settle(self, now: int) -> None:
        """Run the scheduler wherever it was asked for."""
        while self.poked:
            cpu = self.poked.pop(0)
            armed = self._reschedule(cpu, now)
            if armed is not None:
                self.clock.at(armed, cpu.fire)

    def clear(self, vcpu: V, flag: int, now: int) -> None:
        """Take back one reason for which `vcpu` was not runnable; if it was the last one, wake it."""
        vcpu.flags &= ~flag
        if not vcpu.flags:
            self.note(vcpu, "wake", now)
            self.wake(vcpu, now)

    def note(self, vcpu: V, event: Event, now: int) -> None:
        """Write an event of `vcpu` into the trace, if there is one."""
        if self.record is not None:
            self.record((now, vcpu.cpu.number, vcpu.name, vcpu.credit, vcpu.pri, event))

    def _reschedule(self, cpu: P, now: int) -> int | None:
        """Run the scheduler on `cpu`; return when to call its timer, if it is not due early enough."""
        before = cpu.current
        vcpu, slice_ = self.schedule(cpu, now)
        if vcpu is not before:
            cpu.current = vcpu
            record = self.record
            if before is not None:
                before.cpu_time += now - before.entered
                if record is not None:
                    why = _why_off(before.flags) if before.flags else "preempt"
                    record((now, cpu.number, before.name, before.credit, before.pri, why))
            if vcpu is not None:
                vcpu.entered = now
                if record is not None:
                    record((now, cpu.number, vcpu.name, vcpu.credit, vcpu.pri, "run"))
            if before is not None:
                self.descheduled(before, now)
        if vcpu is None:
            cpu.deadline = NEVER
            return None
        done = vcpu.entered + vcpu.goal - vcpu.cpu_time
        cpu.deadline = deadline = done if done < now + slice_ else now + slice_
        if deadline < cpu.armed:
            cpu.armed = deadline
            return deadline
        return None

    def _migrate(self, vcpu: V, now: int) -> None:
        self.move(vcpu, self.pick(vcpu), now)
        vcpu.flags &= ~MIGRATING
        if not vcpu.flags:
            self.wake(vcpu, now)

    def _timer_of(self, cpu: P) -> Action:
        """The one timer of a pCPU: for the end of the slice, or of the burst, of what runs there."""

        def fire(now: int) -> int | None:
            if now != cpu.armed:
                return None
            cpu.armed = NEVER
            if now < cpu.deadline:  # put off since: a later call is one call fewer than a call taken back
                if cpu.deadline == NEVER:
                    return None
                cpu.armed = cpu.deadline
                return cpu.deadline
            vcpu = cpu.current
            if vcpu.cpu_time + now - vcpu.entered >= vcpu.goal:
                self._next_burst(vcpu, now)
            again = self._reschedule(cpu, now)
            if self.poked:
                self.settle(now)
            return again

        return fire

    def _waker_of(self, vcpu: V) -> Action:
        def wake(now: int) -> None:
            if now != vcpu.wake_at:
                return
            vcpu.wake_at = NEVER
            vcpu.flags &= ~BLOCKED
            if not vcpu.burst.run:
                self._next_burst(vcpu, now)
            if not vcpu.flags & BLOCKED:
                self.clear(vcpu, BLOCKED, now)
                self.settle(now)

        return wake

    def _next_burst(self, vcpu: V, now: int) -> None:
        """The run of a burst is over: block until its end, or begin the next if there is nothing to wait for."""
        while True:
            wake_at = max(now + vcpu.burst.sleep, vcpu.burst.until)
            vcpu.burst = next(vcpu.bursts)
            vcpu.goal = self.cpu_time(vcpu, now) + vcpu.burst.run
            if wake_at > now:
                vcpu.flags |= BLOCKED
                vcpu.wake_at = wake_at
                if wake_at < NEVER:
                    self.clock.at(wake_at, vcpu.waker)
                return
            if vcpu.burst.run:
                return

    def _mask(self, cpus: Sequence[int] | None) -> int:
        mask = self.all_cpus if cpus is None else sum(1 << cpu for cpu in set(cpus)) & self.all_cpus
        if not mask:
            raise SchedulingError(f"cpus(={cpus}) must name at least one pCPU of {sorted(self.by_number)}")
        return mask

    def _list_vcpus(self) -> None:
        self.vcpus = tuple(vcpu for domain in self.doms.values() for vcpu in domain.vcpus)


def _why_off(flags: int) -> Event:
    if flags & BLOCKED:
        return "block"
    if flags & PARKED:
        return "park"
    return "pause" if flags & PAUSED else "migrate"
