"""Credit2, Xen's default scheduler since 4.12, as in 4.17's ``xen/common/sched/credit2.c``.

pCPUs share run queues, sorted by credit: the vCPU with most credit runs. All start an epoch with 10 ms worth of credit
and burn it while they run, the heaviest at 1 credit a nanosecond and the others faster, in proportion to their weights.
When the best in the queue has none left, everybody's credit is reset: 10 ms more, and at most 10.5 ms. A capped domain
has a budget of running time, filled up every 10 ms; its vCPUs are parked while it is empty.

Left out: soft affinity, yields, hyperthreads, and the time that the scheduler itself takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from xenlab.scheduling.clock import Clock
from xenlab.scheduling.core import Scheduler
from xenlab.scheduling.machine import Credit2Parameters
from xenlab.scheduling.parts import MIGRATING, PARKED, next_in_cycle
from xenlab.scheduling.runqueue import (
    LOAD_ONE,
    MIN_TIMER,
    REPLENISHMENT_PERIOD,
    Average,
    Credit2Dom,
    Credit2PCpu,
    Credit2VCpu,
    RunQueue,
    best_exchange,
    most_different,
)
from xenlab.scheduling.trace import Snapshot, Trace
from xenlab.scheduling.workload import MS, NEVER, US

CREDIT_INIT = 10_000_000
CREDIT_MIN = -CREDIT_INIT
IDLE_CREDIT = CREDIT_MIN - 1
CARRYOVER_MAX = 500_000
MIGRATE_RESIST = 500_000
MIGRATE_COMPENSATION = 50_000
MAX_TIMER = 10 * MS
RATELIMIT_TOLERANCE = 50 * US


class Credit2(Scheduler[Credit2Dom, Credit2VCpu, Credit2PCpu]):
    """The credit2 scheduler over one cpupool."""

    requeues = True
    fresh = (CREDIT_INIT, 0)
    priorities: ClassVar[dict[int, str]] = {}
    new_dom = Credit2Dom
    new_vcpu = Credit2VCpu
    new_pcpu = Credit2PCpu

    def __init__(
        self,
        parameters: Credit2Parameters,
        clock: Clock,
        pcpus: Sequence[int],
        trace: Trace | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(clock, pcpus, trace, seed)
        # Xen tries to make as few as may be, of equal size, and rounds down (``cpu_add_to_runqueue``).
        fewest = -(-len(self.cpus) // parameters.pcpus_per_runqueue)
        size = len(self.cpus) // fewest
        self.queues: list[RunQueue] = []
        for first in range(0, len(self.cpus), size):
            sharers = self.cpus[first : first + size]
            queue = RunQueue(sharers)
            self.queues.append(queue)
            for cpu in sharers:
                cpu.queue = queue
        self.set_parameters(parameters)

    def set_parameters(self, parameters: Credit2Parameters) -> None:
        """Change the pool's rate limit (``csched2_sys_cntl``)."""
        self.ratelimit = parameters.ratelimit_us * US

    # Burning and resetting credit.

    def burn(self, vcpu: Credit2VCpu, now: float) -> None:
        """Let a running vCPU pay for its time since it last did, in credit and in budget (``burn_credits``)."""
        ran = now - vcpu.start
        if ran > 0:
            queue = vcpu.cpu.queue
            paid, vcpu.residual = divmod(int(ran) * queue.max_weight + vcpu.residual, vcpu.domain.weight)
            i = vcpu.index
            self.credit[i] = max(self.credit[i] - paid, CREDIT_MIN)
            if vcpu.quota:
                vcpu.budget -= ran
            vcpu.start = now

    def reset(self, queue: RunQueue, chosen: Credit2VCpu, now: float) -> None:
        """Begin a new epoch: 10 ms worth of credit for everybody, and no more than 10.5 ms (``reset_credit``)."""
        credit = self.credit
        more = CREDIT_INIT if credit[chosen.index] > CREDIT_MIN else 2 * CREDIT_INIT
        before, after = [], []
        for vcpu in queue.members:
            if vcpu.cpu.current is vcpu:
                self.burn(vcpu, now)
                if vcpu.budget <= 0:
                    self._tickle_cpu(vcpu.cpu)
            i = vcpu.index
            before.append(credit[i])
            credit[i] = min(credit[i] + more, CREDIT_INIT + CARRYOVER_MAX)
            after.append(credit[i])
            vcpu.start = now
        if self.trace is not None:
            snapshot = Snapshot(list(queue.members), before, after, [0] * len(after))
            self.trace.snapshot(now, "reset", snapshot)

    # Waking and sleeping.

    def wake(self, vcpu: Credit2VCpu, now: float) -> None:
        """Queue a vCPU that has become runnable (``csched2_unit_wake``)."""
        queue = vcpu.cpu.queue
        self._update_load(queue, vcpu, +1, now)
        queue.insert(vcpu, self.credit)
        self._tickle(vcpu, now)

    def sleep(self, vcpu: Credit2VCpu, now: float) -> None:
        """Take a vCPU that is no longer runnable off its pCPU or queue (``csched2_unit_sleep``)."""
        queue = vcpu.cpu.queue
        if vcpu.cpu.current is vcpu:
            self._tickle_cpu(vcpu.cpu)
        elif vcpu in queue.waiting:
            self._update_load(queue, vcpu, -1, now)
            queue.waiting.remove(vcpu)

    def descheduled(self, vcpu: Credit2VCpu, now: float) -> None:
        """Queue a vCPU that has lost its pCPU, and give back what it has left of its budget (``context_saved``)."""
        unparked = vcpu.domain.take_back(vcpu) if vcpu.quota and vcpu.budget > 0 else []
        if not vcpu.flags:
            vcpu.cpu.queue.insert(vcpu, self.credit)
            self._tickle(vcpu, now)
        else:
            self._update_load(vcpu.cpu.queue, vcpu, -1, now)
        self._unpark(unparked, now)
        super().descheduled(vcpu, now)

    def _tickle_cpu(self, cpu: Credit2PCpu) -> None:
        cpu.queue.tickled |= cpu.bit
        self.poke(cpu)

    def _tickle(self, new: Credit2VCpu, now: float) -> None:
        """Poke the pCPU that should run `new`: an idle one, or the one whose vCPU it beats best (``runq_tickle``)."""
        cpu, queue = new.cpu, new.cpu.queue
        free = queue.idle & ~queue.tickled & new.affinity
        if free:
            chosen = cpu if free & cpu.bit else self.by_number[next_in_cycle(cpu.number, free)]
        else:
            busy = queue.cpus & ~queue.idle & ~queue.tickled & new.affinity
            best, chosen = 0, None
            if busy & cpu.bit and self._score(new, cpu, now) > 0:
                chosen = cpu
            else:
                for other in self.cpus:
                    if other.bit & busy and other is not cpu:
                        score = self._score(new, other, now)
                        if score > best:
                            best, chosen = score, other
        if chosen is not None:
            self._tickle_cpu(chosen)
            new.tickled_cpu = chosen

    def _score(self, new: Credit2VCpu, cpu: Credit2PCpu, now: float) -> int:
        """By how much `new` beats what runs on `cpu`; not positive if it does not (``tickle_score``)."""
        current: Credit2VCpu | None = cpu.current
        if current is None:
            return -1
        if (
            self.ratelimit > RATELIMIT_TOLERANCE
            and now - current.entered <= self.ratelimit - RATELIMIT_TOLERANCE
        ):
            return -1
        self.burn(current, now)
        score = self.credit[new.index] - self.credit[current.index]
        return score if new.cpu is cpu else score - MIGRATE_RESIST

    # Deciding.

    def schedule(self, cpu: Credit2PCpu, now: float) -> tuple[Credit2VCpu | None, float]:
        """Pick the vCPU with most credit, and for how long it may run (``csched2_schedule``)."""
        queue = cpu.queue
        queue.tickled &= ~cpu.bit
        current: Credit2VCpu | None = cpu.current
        if current is not None:
            self.burn(current, now)
            if current.budget <= 0:
                self._grab_budget(current, now)
        chosen = self._candidate(cpu, current, now)
        if chosen is None:
            queue.idle |= cpu.bit
            self._update_load(queue, None, 0, now)
            return None, NEVER
        if chosen is current:
            self._update_load(queue, chosen, 0, now)
        else:
            queue.waiting.remove(chosen)
        queue.idle &= ~cpu.bit
        top = self.credit[chosen.index]
        if queue.waiting:
            top = max(top, self.credit[queue.waiting[0].index])
        if top <= 0:
            self.reset(queue, chosen, now)
            self._balance(cpu, chosen, now)
        chosen.start = now
        chosen.tickled_cpu = None
        if chosen.cpu is not cpu:
            self.credit[chosen.index] += MIGRATE_COMPENSATION
            chosen.cpu = cpu
            self.note(chosen, "steal", now)
        return chosen, self._runtime(queue, chosen, chosen is current, now)

    def _candidate(self, cpu: Credit2PCpu, current: Credit2VCpu | None, now: float) -> Credit2VCpu | None:
        """The current vCPU, or the first in the queue that beats it and may run on `cpu` (``runq_candidate``)."""
        chosen = None
        if current is not None and not current.flags:
            if now - current.entered < self.ratelimit:
                return current
            chosen = current
        queue = cpu.queue
        to_beat = IDLE_CREDIT if chosen is None else self.credit[chosen.index]
        for vcpu in list(queue.waiting):
            credit = self.credit[vcpu.index]
            if credit <= to_beat:
                break
            if not vcpu.affinity & cpu.bit:
                continue
            tickled = vcpu.tickled_cpu
            if tickled is not None and tickled is not cpu and tickled.bit & queue.tickled:
                continue  # it is meant for another pCPU, which is about to look
            if vcpu.cpu is not cpu and to_beat + MIGRATE_RESIST > credit:
                continue
            if vcpu.quota and not self._grab_budget(vcpu, now):
                continue
            return vcpu
        return chosen

    def _runtime(self, queue: RunQueue, vcpu: Credit2VCpu, running: bool, now: float) -> float:
        """How long `vcpu` may run: until its credit has come down to the next one's (``csched2_runtime``)."""
        least = MIN_TIMER
        if self.ratelimit:
            left = vcpu.entered + self.ratelimit - now if running else self.ratelimit
            least = max(least, left)
        credit = self.credit[vcpu.index]
        if queue.waiting:
            next_credit = self.credit[queue.waiting[0].index]
            if next_credit > 0:
                credit -= next_credit
        time = float(credit * vcpu.domain.weight // queue.max_weight) if credit > 0 else 0.0
        time = min(time, vcpu.budget)
        return least if time < least else min(time, MAX_TIMER)

    # Caps.

    def set_cap(self, domain: Credit2Dom, cap: int, now: float) -> None:
        """Set or lift a cap (``csched2_dom_cntl``)."""
        was_capped = bool(domain.cap)
        if cap and not was_capped:
            for vcpu in domain.vcpus:
                if vcpu.cpu.current is vcpu:
                    self.burn(vcpu, now)
                    self._tickle_cpu(vcpu.cpu)
                vcpu.budget = 0.0
        domain.limit(cap)
        if cap and not was_capped:
            domain.budget = domain.total_budget
            domain.replenish_at = now + REPLENISHMENT_PERIOD
            self.clock.at(domain.replenish_at, self._replenish, [domain])
        elif was_capped and not cap:
            domain.replenish_at = NEVER
            self._unpark(domain.release(), now)

    def _replenish(self, now: float, domains: list[Credit2Dom]) -> None:
        for domain in domains:
            if now == domain.replenish_at:
                self._unpark(domain.replenish(), now)
                self.settle(now)
                domain.replenish_at = now + REPLENISHMENT_PERIOD
                self.clock.at(domain.replenish_at, self._replenish, [domain])

    def _grab_budget(self, vcpu: Credit2VCpu, now: float) -> bool:
        """Let a vCPU take running time from its domain's budget; park it if there is none."""
        if vcpu.budget > 0 or vcpu.domain.lend(vcpu):
            return True
        vcpu.flags |= PARKED
        queue = vcpu.cpu.queue
        if vcpu in queue.waiting:
            queue.waiting.remove(vcpu)
            self.note(vcpu, "park", now)
            self._update_load(queue, vcpu, -1, now)
        vcpu.domain.parked.insert(0, vcpu)
        return False

    def _unpark(self, vcpus: list[Credit2VCpu], now: float) -> None:
        for vcpu in vcpus:
            vcpu.flags &= ~PARKED
            if not vcpu.flags:
                self.note(vcpu, "unpark", now)
                self.wake(vcpu, now)

    # Load, placing and balancing, where there are several run queues.

    def _update_load(self, queue: RunQueue, vcpu: Credit2VCpu | None, change: int, now: float) -> None:
        """Update the average loads; `change` is what has just come to the queue's load, or gone."""
        if len(self.queues) == 1:  # nobody will ask
            return
        queue.average.update(queue.load, now)
        queue.load += change
        if vcpu is not None:
            was_runnable = change == -1 or (change == 0 and not vcpu.flags)
            vcpu.average.update(int(was_runnable), now)

    def domain_joined(self, domain: Credit2Dom, now: float) -> None:
        """Its vCPUs' loads are averaged from now on, from one half each."""
        for vcpu in domain.vcpus:
            vcpu.average = Average(LOAD_ONE // 2, now)

    def domain_left(self, domain: Credit2Dom, now: float) -> None:
        """Its vCPUs belong to no run queue any more, and its budget is filled up no more."""
        domain.replenish_at = NEVER
        for vcpu in domain.vcpus:
            vcpu.queue.leave(vcpu)

    def set_weight(self, domain: Credit2Dom, weight: int, now: float) -> None:
        """Change the weight; run queues must know their heaviest."""
        domain.weight = weight
        for vcpu in domain.vcpus:
            vcpu.queue.find_max_weight()

    def pick(self, vcpu: Credit2VCpu) -> Credit2PCpu:
        """A pCPU of the run queue that is asked for, or of the least loaded one (``csched2_res_pick``)."""
        wanted, vcpu.migrate_to = vcpu.migrate_to, None
        if wanted is None or not wanted.cpus & vcpu.affinity:

            def load(queue: RunQueue) -> int:
                own = vcpu.average.value if queue is vcpu.queue else 0
                return max(queue.average.value - own, 0)

            wanted = min((queue for queue in self.queues if queue.cpus & vcpu.affinity), key=load)
        return self._next_cpu(vcpu, wanted)

    def _next_cpu(self, vcpu: Credit2VCpu, queue: RunQueue) -> Credit2PCpu:
        queue.pick_bias = next_in_cycle(queue.pick_bias, queue.cpus & vcpu.affinity)
        return self.by_number[queue.pick_bias]

    def move(self, vcpu: Credit2VCpu, cpu: Credit2PCpu, now: float) -> None:
        """Move `vcpu`, which neither runs nor waits, to `cpu` and its run queue (``csched2_unit_migrate``)."""
        if vcpu.queue is None:
            vcpu.cpu = cpu
            cpu.queue.join(vcpu)
        elif vcpu.queue is cpu.queue:
            vcpu.cpu = cpu
        else:
            self._change_queue(vcpu, cpu.queue)

    def _change_queue(self, vcpu: Credit2VCpu, queue: RunQueue) -> None:
        """To `queue`, and there to the pCPU that is next."""
        vcpu.cpu.queue.leave(vcpu)
        vcpu.cpu = self._next_cpu(vcpu, queue)
        queue.join(vcpu)

    def _balance(self, cpu: Credit2PCpu, chosen: Credit2VCpu, now: float) -> None:
        """Push a vCPU to the run queue of most different load, pull one, or swap two (``balance_load``)."""
        mine = cpu.queue
        for queue in self.queues:
            queue.average.update(queue.load, now)
        other = most_different(mine, self.queues)
        if other is None:
            return
        for vcpu in (*mine.members, *other.members):
            vcpu.average.update(int(not vcpu.flags), now)
        pushed, pulled = best_exchange(mine, other)
        if pushed is chosen:  # it is about to run on `cpu`
            self._send_later(chosen, cpu, other)
        elif pushed is not None:
            self._send(pushed, other, now)
        if pulled is not None:
            self._send(pulled, mine, now)

    def _send(self, vcpu: Credit2VCpu, queue: RunQueue, now: float) -> None:
        """Move a vCPU to another run queue now, or as soon as it has left its pCPU (``migrate``)."""
        if vcpu.cpu.current is vcpu:
            self._send_later(vcpu, vcpu.cpu, queue)
            return
        old = vcpu.cpu.queue
        waits = vcpu in old.waiting
        if waits:
            old.waiting.remove(vcpu)
            self._update_load(old, None, -1, now)
        self._change_queue(vcpu, queue)
        if waits:
            self._update_load(queue, None, +1, now)
            queue.insert(vcpu, self.credit)
            self._tickle(vcpu, now)

    def _send_later(self, vcpu: Credit2VCpu, cpu: Credit2PCpu, queue: RunQueue) -> None:
        vcpu.migrate_to = queue
        vcpu.flags |= MIGRATING
        self._tickle_cpu(cpu)
