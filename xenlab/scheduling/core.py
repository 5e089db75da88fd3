"""What all of Xen's schedulers share (``xen/common/sched/core.c``): vCPUs that run, block and wake on pCPUs.

`Scheduler` is a state machine. It hears that a timer went off or that a vCPU's state was changed, and it speaks only
by asking its clock for the next call and by writing its trace. A policy (credit, credit2, ...) is a subclass that
answers a handful of questions: what to do on a wake-up, whom to run next and for how long.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from xenlab.scheduling.clock import Clock
from xenlab.scheduling.machine import Domain, SchedulingError, check_cap, check_weight
from xenlab.scheduling.parts import BLOCKED, MIGRATING, PARKED, PAUSED, Dom, PCpu, VCpu, next_in_cycle
from xenlab.scheduling.trace import Event, Trace
from xenlab.scheduling.workload import NEVER, Burst, Workload

D = TypeVar("D", bound=Dom)
V = TypeVar("V", bound=VCpu)
P = TypeVar("P", bound=PCpu)


class Scheduler(ABC, Generic[D, V, P]):
    """A set of pCPUs and the domains on them, under one policy.

    `clock` calls it back, `trace` (if any) is its diary, and `seed` decides the chance in workloads. Times are in ns.
    """

    #: Names of the priorities in the trace, where the policy has any.
    priorities: ClassVar[dict[int, str]] = {}
    #: Must `descheduled` be told also of a vCPU that is still runnable?
    requeues: ClassVar[bool] = False
    #: Credit and priority of a new vCPU.
    fresh: ClassVar[tuple[int, int]] = (0, 0)
    new_dom: Callable[[Domain], D]
    new_vcpu: Callable[[D, int, int, P], V]
    new_pcpu: Callable[[int], P]

    def __init__(self, clock: Clock, pcpus: Sequence[int], trace: Trace | None = None, seed: int = 0) -> None:
        self.clock = clock
        self.set_timers = clock.timers.set
        self.trace = trace
        self.seed = seed
        self.cpus: tuple[P, ...] = tuple(self.new_pcpu(number) for number in pcpus)
        self.by_number: dict[int, P] = {cpu.number: cpu for cpu in self.cpus}
        self.all_cpus = sum(cpu.bit for cpu in self.cpus)
        self.doms: dict[str, D] = {}
        # By `VCpu.index`. Credit and priority are lists, and not attributes, because an accounting changes them all:
        # with a hundred vCPUs that would be most of the work.
        self.vcpus: list[V] = []
        self.credit: list[int] = []
        self.pri: list[int] = []
        self._free: list[int] = []  # slots of domains that have gone
        self.poked: list[P] = []  # pCPUs on which the scheduler must run (SCHEDULE_SOFTIRQ)
        self.record = trace.record if trace is not None else _ignore

    # What a policy answers.

    @abstractmethod
    def schedule(self, cpu: P, now: float) -> tuple[V | None, float]:
        """Whom to run on `cpu` now (None: nobody), and when to ask again: for how long at most."""

    @abstractmethod
    def wake(self, vcpu: V, now: float) -> None:
        """`vcpu` has become runnable: queue it, and poke the pCPU that should look at it."""

    @abstractmethod
    def sleep(self, vcpu: V, now: float) -> None:
        """`vcpu` has ceased to be runnable: poke the pCPU it runs on, or take it off its queue."""

    @abstractmethod
    def pick(self, vcpu: V) -> P:
        """The pCPU on which `vcpu` had best be."""

    def move(self, vcpu: V, cpu: P, now: float) -> None:
        """`vcpu`, which neither runs nor waits, goes to `cpu`."""
        vcpu.cpu = cpu

    def descheduled(self, vcpu: V, now: float) -> None:
        """`vcpu` has just left its pCPU (``unit_context_saved``); if it is to go to another, it goes now."""
        if vcpu.flags & MIGRATING:
            self._migrate(vcpu, now)

    def domain_joined(self, domain: D, now: float) -> None:
        """`domain` is new, and its vCPUs are about to wake."""

    def domain_left(self, domain: D, now: float) -> None:
        """`domain` has gone; none of its vCPUs runs or waits."""

    def set_parameters(self, parameters: Any) -> None:
        """Change the scheduler's own parameters."""

    def set_weight(self, domain: D, weight: int, now: float) -> None:
        """Change `domain`'s weight."""
        domain.weight = weight

    def set_cap(self, domain: D, cap: int, now: float) -> None:
        """Change `domain`'s cap."""
        domain.cap = cap

    # What is done to domains from outside.

    def add(self, spec: Domain, now: float, *, paused: bool = False) -> None:
        """Create the domain `spec` and, unless `paused`, let it run."""
        if spec.name in self.doms:
            raise SchedulingError(f"domain {spec.name} is already here; choose another name")
        domain = self.new_dom(spec)
        for number, affinity in enumerate(spec.affinities):
            mask = self._mask(affinity)
            vcpu = self.new_vcpu(domain, number, mask, self.by_number[next_in_cycle(-1, mask)])
            domain.vcpus.append(vcpu)
            self.give_slot(vcpu)
            self.move(vcpu, self.pick(vcpu), now)
        self.doms[spec.name] = domain
        self.domain_joined(domain, now)
        self.set_cap(domain, spec.cap, now)
        for vcpu, workload in zip(domain.vcpus, spec.workloads, strict=True):
            self.set_workload(vcpu, workload, now)
        if not paused:
            self.unpause(spec.name, now)

    def remove(self, name: str, now: float) -> None:
        """Destroy the domain."""
        self.pause(name, now)
        domain = self.doms.pop(name)
        for vcpu in domain.vcpus:
            vcpu.wake_at = NEVER
        self.domain_left(domain, now)
        self._free += [vcpu.index for vcpu in domain.vcpus]

    def pause(self, name: str, now: float) -> None:
        """Keep the domain's vCPUs off the pCPUs until it is unpaused."""
        for vcpu in self.dom(name).vcpus:
            vcpu.flags |= PAUSED
            self.put_off(vcpu, "pause", now)
        self.settle(now)

    def unpause(self, name: str, now: float) -> None:
        """Let a paused domain go on."""
        for vcpu in self.dom(name).vcpus:
            if vcpu.flags & PAUSED:
                self.clear(vcpu, PAUSED, now)
                self.settle(now)

    def adjust(self, name: str, now: float, weight: int | None = None, cap: int | None = None) -> None:
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

    def pin(self, vcpu: V, cpus: Sequence[int] | None, now: float) -> None:
        """Change the pCPUs on which `vcpu` may run, None for all (``xl vcpu-pin``)."""
        vcpu.affinity = self._mask(cpus)
        vcpu.flags |= MIGRATING
        self.put_off(vcpu, "migrate", now)
        self.settle(now)  # if it ran, it has been moved now
        if vcpu.flags & MIGRATING:
            self._migrate(vcpu, now)
            self.settle(now)

    def set_workload(self, vcpu: V, workload: Workload, now: float) -> None:
        """Give `vcpu` something else to do, from now on."""
        vcpu.bursts = workload.bursts(random.Random(f"{self.seed} {vcpu.name}"))
        vcpu.burst = Burst(0.0)
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

    def least_occupied(self, vcpu: V) -> P:
        """The pCPU, of those on which `vcpu` may run, that has the fewest vCPUs."""
        counts = {cpu.number: 0 for cpu in self.cpus if cpu.bit & vcpu.affinity}
        for other in self.vcpus:
            is_here = other.domain is vcpu.domain or self.doms.get(other.domain.name) is other.domain
            if is_here and other is not vcpu and other.cpu.number in counts:
                counts[other.cpu.number] += 1
        return self.by_number[min(counts, key=counts.__getitem__)]

    def cpu_time(self, vcpu: V, now: float) -> float:
        """How long `vcpu` has run, in ns."""
        return vcpu.cpu_time + (now - vcpu.entered if vcpu.cpu.current is vcpu else 0.0)

    # The machinery.

    def poke(self, cpu: P) -> None:
        """Have the scheduler run on `cpu` as soon as what is being done now is done."""
        if cpu not in self.poked:
            self.poked.append(cpu)

    def settle(self, now: float) -> None:
        """Run the scheduler wherever it was asked for."""
        while self.poked:
            cpu = self.poked.pop(0)
            self._reschedule(cpu, now)

    def clear(self, vcpu: V, flag: int, now: float) -> None:
        """Take back one reason for which `vcpu` was not runnable; if it was the last one, wake it."""
        vcpu.flags &= ~flag
        if not vcpu.flags:
            self.note(vcpu, "wake", now)
            self.wake(vcpu, now)

    def put_off(self, vcpu: V, event: Event, now: float) -> None:
        """`vcpu` has ceased to be runnable; what runs is written down when it leaves its pCPU."""
        if vcpu.cpu.current is not vcpu:
            self.note(vcpu, event, now)
        self.sleep(vcpu, now)

    def note(self, vcpu: V, event: Event, now: float) -> None:
        """Write an event of `vcpu` into the trace, if there is one."""
        if self.trace is not None:
            i = vcpu.index
            self.record((now, vcpu.cpu.number, vcpu.name, self.credit[i], self.pri[i], event))

    def end_slice(self, cpu: P, time: float) -> None:
        """Let the slice of what runs on `cpu` end at `time` if it is to end later."""
        if time < cpu.deadline:
            cpu.deadline = time
            if time < cpu.armed:
                cpu.armed = time
                self.set_timers(time, self._timer, [cpu], True)

    def _reschedule(self, cpu: P, now: float) -> None:
        """Run the scheduler on `cpu`, and see to it that its timer goes off in time."""
        before = cpu.current
        vcpu, slice_ = self.schedule(cpu, now)
        if vcpu is not before:
            cpu.current = vcpu
            if self.trace is not None:
                self._note_switch(cpu, before, vcpu, now)
            if vcpu is not None:
                vcpu.entered = now
            if before is not None:
                before.cpu_time += now - before.entered
                if before.flags or self.requeues:
                    self.descheduled(before, now)
        # One whose slice ended late may have run past the end of its burst; it is over at once when it runs again.
        cpu.done = NEVER if vcpu is None else max(now, vcpu.entered + vcpu.goal - vcpu.cpu_time)
        cpu.deadline = deadline = min(now + slice_, cpu.done)
        if deadline < cpu.armed:
            cpu.armed = deadline
            self._arm(cpu)

    def _arm(self, cpu: P) -> None:
        """Have `_timer` called when the slice of what runs on `cpu` ends, or when its burst does if that is before."""
        if cpu.armed == cpu.done:
            self.clock.at(cpu.armed, self._timer, [cpu])
        else:
            self.set_timers(cpu.armed, self._timer, [cpu], True)

    def _note_switch(self, cpu: P, before: V | None, vcpu: V | None, now: float) -> None:
        credit, pri, number = self.credit, self.pri, cpu.number
        if before is not None:
            i, why = before.index, _why_off(before.flags) if before.flags else "preempt"
            self.record((now, number, before.name, credit[i], pri[i], why))
        if vcpu is not None:
            i = vcpu.index
            self.record((now, number, vcpu.name, credit[i], pri[i], "run"))

    def _migrate(self, vcpu: V, now: float) -> None:
        self.move(vcpu, self.pick(vcpu), now)
        vcpu.flags &= ~MIGRATING
        if not vcpu.flags:
            self.wake(vcpu, now)

    def _timer(self, now: float, cpus: list[P]) -> None:
        """The one timer of each of these pCPUs: for the end of the slice, or of the burst, of what runs there."""
        for cpu in cpus:
            if now < cpu.armed:
                continue
            cpu.armed = NEVER
            if now < cpu.deadline:  # put off since: a later call is one call fewer than a call taken back
                if cpu.deadline < NEVER:
                    cpu.armed = cpu.deadline
                    self._arm(cpu)
                continue
            if cpu.done <= now:
                self._next_burst(cpu.current, now)
            self._reschedule(cpu, now)
            if self.poked:
                self.settle(now)

    def _wake_up(self, now: float, vcpus: list[V]) -> None:
        """What these vCPUs have waited for has come."""
        for vcpu in vcpus:
            if now != vcpu.wake_at:
                continue
            vcpu.wake_at = NEVER
            vcpu.flags &= ~BLOCKED
            if not vcpu.burst.run:
                self._next_burst(vcpu, now)
            if not vcpu.flags & BLOCKED:
                self.clear(vcpu, BLOCKED, now)
                self.settle(now)

    def _next_burst(self, vcpu: V, now: float) -> None:
        """The run of a burst is over: block until its end, or begin the next if there is nothing to wait for."""
        while True:
            wake_at = max(now + vcpu.burst.sleep, vcpu.burst.until)
            vcpu.burst = next(vcpu.bursts)
            vcpu.goal = self.cpu_time(vcpu, now) + vcpu.burst.run
            if wake_at > now:
                vcpu.flags |= BLOCKED
                vcpu.wake_at = wake_at
                if wake_at < NEVER:
                    self.clock.at(wake_at, self._wake_up, [vcpu])
                return
            if vcpu.burst.run:
                return

    def _mask(self, cpus: Sequence[int] | None) -> int:
        mask = self.all_cpus if cpus is None else sum(1 << cpu for cpu in set(cpus)) & self.all_cpus
        if not mask:
            raise SchedulingError(f"cpus(={cpus}) must name at least one pCPU of {sorted(self.by_number)}")
        return mask

    def give_slot(self, vcpu: V) -> None:
        """Make room for `vcpu` in the lists."""
        vcpus = self.vcpus.copy()  # the trace may keep the old list
        if self._free:
            vcpu.index = self._free.pop()
            vcpus[vcpu.index] = vcpu
        else:
            vcpu.index = len(vcpus)
            vcpus.append(vcpu)
            self.credit.append(0)
            self.pri.append(0)
        self.vcpus = vcpus
        self.credit[vcpu.index], self.pri[vcpu.index] = self.fresh


def _why_off(flags: int) -> Event:
    if flags & BLOCKED:
        return "block"
    if flags & PARKED:
        return "park"
    return "pause" if flags & PAUSED else "migrate"


def _ignore(row: object) -> None:
    pass
