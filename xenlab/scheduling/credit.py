"""The credit scheduler, as in Xen 4.17's ``xen/common/sched/credit.c``.

Every 30 ms the scheduler gives out credits: 300 for each pCPU of the pool, divided among the active vCPUs by weight
(`accounting.share_credits`). A vCPU pays 10 credits for each millisecond it runs. Those that have credits left (UNDER)
run before those that have none (OVER), and a vCPU that wakes with credits left goes before both (BOOST) until the next
tick or accounting finds it running. Each pCPU has its own run queue; one that has nothing better than OVER to run looks
for better work in the others' queues.

Left out: soft affinity, yields, hyperthreads and NUMA nodes (all pCPUs are alike, on one socket), and the time that the
scheduler itself takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from xenlab.scheduling.accounting import CreditDom, CreditPCpu, CreditVCpu, Earners
from xenlab.scheduling.clock import Clock
from xenlab.scheduling.core import Scheduler
from xenlab.scheduling.machine import CreditParameters
from xenlab.scheduling.parts import MIGRATING, PARKED, next_in_cycle
from xenlab.scheduling.trace import Snapshot, Trace
from xenlab.scheduling.workload import MS, NEVER, US

BOOST, UNDER, OVER, IDLE = 0, -1, -2, -64
CREDITS_PER_MS = 10
NS_PER_CREDIT = MS / CREDITS_PER_MS
TICKS_PER_TSLICE = 3
#: Where between two ticks the accounting falls. Ticks restart on multiples of 10 ms, accounting keeps the rhythm that
#: it had from the pool's creation: on a real host they do not coincide.
ACCOUNT_PHASE = 0.5
#: `CSCHED_MIN_TIMER`: meant as 100 µs, but compared with nanoseconds; kept as Xen has it.
MIN_TIMER = 100.0


class Credit(Scheduler[CreditDom, CreditVCpu, CreditPCpu]):
    """The credit scheduler over one cpupool."""

    priorities: ClassVar[dict[int, str]] = {BOOST: "BOOST", UNDER: "UNDER", OVER: "OVER"}
    fresh = (0, UNDER)
    new_dom = CreditDom
    new_vcpu = CreditVCpu
    new_pcpu = CreditPCpu

    def __init__(
        self,
        parameters: CreditParameters,
        clock: Clock,
        pcpus: Sequence[int],
        trace: Trace | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(clock, pcpus, trace, seed)
        self.earners = Earners()
        self.payers: set[int] = set()  # slots of those that have paid since the last accounting
        self.capped = False  # has there ever been a cap?
        self.balance = 0  # the sum of active vCPUs' credits after the last accounting
        self.epoch = 0  # counts the accountings
        self.idlers = self.all_cpus
        self.steal_from = self.cpus[0].number
        numbers = [cpu.number for cpu in self.cpus]
        self._others = {
            number: [self.by_number[peer] for peer in numbers[i + 1 :] + numbers[: i + 1]]
            for i, number in enumerate(numbers)
        }
        self.set_parameters(parameters)
        first = self.tslice + ACCOUNT_PHASE * self.tick_period + clock.timers.chance(self.tslice)
        self.set_timers(first, self._account, [self.cpus[0]])

    def set_parameters(self, parameters: CreditParameters) -> None:
        """Change the pool's time slice, rate limit and migration delay (``csched_sys_cntl``)."""
        self.tslice = parameters.tslice_ms * MS
        ticks = TICKS_PER_TSLICE if parameters.tslice_ms >= TICKS_PER_TSLICE else 1
        self.tick_period = parameters.tslice_ms * 1000 // ticks * US
        self.credits_per_tslice = CREDITS_PER_MS * parameters.tslice_ms
        self.ratelimit = parameters.ratelimit_us * US
        self.migration_delay = parameters.migration_delay_us * US
        self.payers.update(range(len(self.vcpus)))  # all debts must be looked at

    # Paying and earning.

    def burn(self, vcpu: CreditVCpu, now: float) -> None:
        """Let a running vCPU pay for the time it has run (``burn_credits``), in whole credits.

        Xen carries the part of a credit that is over in two places, and so charges some credits early, never more
        than one; the model charges each when it is due.
        """
        paid = int((vcpu.cpu_time + now - vcpu.entered) / NS_PER_CREDIT)
        self.credit[vcpu.index] -= paid - vcpu.paid
        vcpu.paid = paid
        self.payers.add(vcpu.index)

    def _account(self, now: float, _: object) -> None:
        """The accounting, once every time slice (``csched_acct``): give out credits, then set priorities anew."""
        if self.earners.doms:
            self._give_out(now)
        else:
            self.balance = 0
        self.set_timers(now + self.tslice, self._account, [self.cpus[0]])

    def _give_out(self, now: float) -> None:
        self._pay_ticks()
        per_tslice = self.credits_per_tslice
        doms = list(self.earners.doms) if self.capped else []
        most, others = self.earners.grants(per_tslice * len(self.cpus), per_tslice, max(0, -self.balance))
        before = self.credit
        resting = [(i, before[i], self.pri[i]) for i in self.earners.resting]
        credit = [c + most for c in before]
        for i, grant in others.items():
            credit[i] = before[i] + grant
        pri = [OVER if c < 0 else UNDER for c in credit]
        for i, unchanged, priority in resting:
            credit[i], pri[i] = unchanged, priority
        self.credit, self.pri = credit, pri
        for dom in doms:
            self._enforce_cap(dom, now)
        for i in self.payers - self.earners.resting:
            if credit[i] < -per_tslice:  # a debt beyond a time slice's is let off
                credit[i] = -per_tslice
        self.payers.clear()
        if max(credit) > per_tslice:
            for i in [i for i, c in enumerate(credit) if c > per_tslice]:
                self._give_up_earning(i)
        self.balance = sum(credit) - sum([unchanged for _, unchanged, _ in resting])
        self.epoch += 1
        if self.trace is not None:
            self.trace.snapshot(now, "account", Snapshot(self.vcpus, before, credit.copy(), pri.copy()))
        if self.poked:
            self.settle(now)

    def _pay_ticks(self) -> None:
        """Let what runs pay for its time up to the last tick.

        In Xen the tick does this. Nobody looks at the credit of a running vCPU between ticks but the accounting,
        which sees it as of the last one, so that it is enough to do it here.
        """
        for cpu in self.cpus:
            vcpu = cpu.current
            if vcpu is not None and vcpu.entered < cpu.ticked:
                self.burn(vcpu, cpu.ticked)

    def _enforce_cap(self, dom: CreditDom, now: float) -> None:
        """Park those of a domain's vCPUs that have used more than its cap allows; unpark those that may go on."""
        floor = -dom.cap * self.credits_per_tslice // 100 // len(dom.active)
        for vcpu in dom.active:
            credit = self.credit[vcpu.index]
            if dom.cap and credit < floor and not vcpu.flags & PARKED:
                vcpu.flags |= PARKED
                self.put_off(vcpu, "park", now)
            elif credit >= 0 and vcpu.flags & PARKED:
                self._unpark(vcpu, now)

    def _give_up_earning(self, i: int) -> None:
        """A vCPU that has more than a time slice's credits burns less than it earns: let it earn no more."""
        if i not in self.earners.resting:
            self.credit[i] //= 2
            self.earners.leave(self.vcpus[i])

    def give_slot(self, vcpu: CreditVCpu) -> None:
        """Make room for `vcpu` in the lists; it earns no credits before a tick has found it running."""
        super().give_slot(vcpu)
        self.earners.resting.add(vcpu.index)

    def _tick(self, now: float, cpus: list[CreditPCpu]) -> None:
        """The tick of these pCPUs (``csched_tick``), every 10 ms while they are not idle."""
        again: list[CreditPCpu] = []
        for cpu in cpus:
            cpu.ticked = now
            vcpu: CreditVCpu | None = cpu.current
            if vcpu is None:
                cpu.ticks = False
                continue
            if cpu.sorted != self.epoch:
                cpu.sorted = self.epoch
                pri = self.pri
                over = [i for i in cpu.runq if pri[i] == OVER]
                if over:
                    cpu.runq = [i for i in cpu.runq if pri[i] > OVER] + over
            if not (vcpu.fresh and self._settle_in(vcpu)) and self.idlers and self._best_cpu(vcpu) is not cpu:
                if again:  # what is asked of the clock keeps its order
                    self.set_timers(now + self.tick_period, self._tick, again)
                    again = []
                vcpu.flags |= MIGRATING
                self.poke(cpu)
                self.settle(now)
            again.append(cpu)
        if again:
            self.set_timers(now + self.tick_period, self._tick, again)

    def _settle_in(self, vcpu: CreditVCpu) -> bool:
        """End the boost of a vCPU that a tick found running, and see that it earns credits; is that new?"""
        vcpu.fresh = False
        if self.pri[vcpu.index] == BOOST:
            self.pri[vcpu.index] = UNDER
        if vcpu.index not in self.earners.resting:
            return False
        self.earners.join(vcpu)
        return True

    # Waking and sleeping.

    def wake(self, vcpu: CreditVCpu, now: float) -> None:
        """Queue a vCPU that has become runnable, ahead of the others if it has credits left (``csched_unit_wake``)."""
        if vcpu.migrated:
            vcpu.migrated = False
        elif self.pri[vcpu.index] == UNDER:
            self.pri[vcpu.index] = BOOST
            vcpu.fresh = True
            self.note(vcpu, "boost", now)
        self._queue(vcpu)
        self._tickle(vcpu)

    def _unpark(self, vcpu: CreditVCpu, now: float) -> None:
        """Let a vCPU that had used up its cap go on; it has not blocked, so it gets no boost."""
        vcpu.flags &= ~PARKED
        if not vcpu.flags:
            vcpu.migrated = False
            self.note(vcpu, "unpark", now)
            self._queue(vcpu)
            self._tickle(vcpu)

    def sleep(self, vcpu: CreditVCpu, now: float) -> None:
        """Take a vCPU that is no longer runnable off its pCPU or queue (``csched_unit_sleep``)."""
        if vcpu.cpu.current is vcpu:
            self.poke(vcpu.cpu)
        elif vcpu.index in vcpu.cpu.runq:
            vcpu.cpu.runq.remove(vcpu.index)

    def _tickle(self, new: CreditVCpu) -> None:
        """Poke the pCPU that should run `new`: its own, or an idle one (``__runq_tickle``)."""
        cpu, idlers = new.cpu, self.idlers
        is_better = cpu.current is None or self.pri[new.index] > self.pri[cpu.current.index]
        is_pinned = new.affinity & (new.affinity - 1) == 0
        suitable = idlers & new.affinity
        if cpu.current is None or (is_pinned and suitable) or (is_better and not idlers):
            poked = cpu
        elif suitable:
            # Xen remembers the last pCPU tickled for each pCPU that tickles; here it is for each that is waited on.
            cpu.last_tickled = next_in_cycle(cpu.last_tickled, suitable)
            poked = self.by_number[cpu.last_tickled]
        elif is_better:
            poked = cpu
        else:
            return
        self.idlers &= ~poked.bit
        self.poke(poked)

    # Deciding.

    def schedule(self, cpu: CreditPCpu, now: float) -> tuple[CreditVCpu | None, float]:
        """Pick the first of the queue, or better work from another pCPU (``csched_schedule``)."""
        current: CreditVCpu | None = cpu.current
        runq, priority = cpu.runq, self.pri
        if current is not None:
            self.burn(current, now)
            if not current.flags:
                ran = now - current.entered
                if ran < self.ratelimit:
                    return current, self.ratelimit - ran if ran >= MIN_TIMER else MIN_TIMER
                self._queue(current)
            current.last_ran = now
        if runq and priority[runq[0]] > OVER:
            chosen: CreditVCpu | None = self.vcpus[runq.pop(0)]
        else:
            chosen = self._steal(cpu, OVER if runq else IDLE, now)
            if chosen is None and runq:
                chosen = self.vcpus[runq.pop(0)]
        if chosen is None:
            self.idlers |= cpu.bit
            return None, NEVER
        if current is None:
            self.idlers &= ~cpu.bit
            if not cpu.ticks:
                cpu.ticks = True
                self.set_timers(now + self.tick_period - now % self.tick_period, self._tick, [cpu])
        return chosen, self.tslice

    def _steal(self, cpu: CreditPCpu, pri: int, now: float) -> CreditVCpu | None:
        """A vCPU of higher priority than `pri` from another busy pCPU's queue (``csched_load_balance``)."""
        priority = self.pri
        for peer in self._others[self.steal_from]:
            if peer.runq and priority[peer.runq[0]] > pri and peer is not cpu and peer.current is not None:
                for i in peer.runq:
                    vcpu: CreditVCpu = self.vcpus[i]
                    if priority[i] <= pri:
                        break
                    if vcpu.affinity & cpu.bit and not self._is_cache_hot(vcpu, now):
                        peer.runq.remove(i)
                        vcpu.cpu = cpu
                        self.steal_from = peer.number
                        self.note(vcpu, "steal", now)
                        return vcpu
        return None

    def _queue(self, vcpu: CreditVCpu) -> None:
        """Put `vcpu` on its pCPU's queue: behind those of its priority, before the first of a lower one."""
        runq, priority = vcpu.cpu.runq, self.pri
        pri = priority[vcpu.index]
        place = 0
        if pri > OVER:
            for i in runq:
                if priority[i] < pri:
                    runq.insert(place, vcpu.index)
                    return
                place += 1
        runq.append(vcpu.index)

    def _is_cache_hot(self, vcpu: CreditVCpu, now: float) -> bool:
        return now - vcpu.last_ran < self.migration_delay

    # Placing.

    def pick(self, vcpu: CreditVCpu) -> CreditPCpu:
        """Where to put a vCPU that is new or must move (``csched_res_pick``)."""
        vcpu.migrated = True
        return self._best_cpu(vcpu)

    def _best_cpu(self, vcpu: CreditVCpu) -> CreditPCpu:
        """Its own pCPU if that is idle but for it, else an idle one, else its own (``_csched_cpu_pick``)."""
        cpu = vcpu.cpu
        number = cpu.number if vcpu.affinity & cpu.bit else next_in_cycle(cpu.number, vcpu.affinity)
        idle = self.idlers
        if number == cpu.number and not cpu.runq:
            idle |= cpu.bit
        idle &= vcpu.affinity
        if idle and not idle >> number & 1:
            number = next_in_cycle(number, idle)
        return self.by_number[number]

    # Changes to domains.

    def set_weight(self, domain: CreditDom, weight: int, now: float) -> None:
        """Change the weight; the next accounting knows it."""
        domain.weight = weight
        self.earners.update(domain)

    def set_cap(self, domain: CreditDom, cap: int, now: float) -> None:
        """Change the cap; the next accounting knows it."""
        domain.cap = cap
        self.earners.update(domain)
        self.capped = self.capped or cap > 0

    def domain_left(self, domain: CreditDom, now: float) -> None:
        """Its vCPUs earn no more."""
        for vcpu in list(domain.active):
            self.earners.leave(vcpu)
