"""The credit scheduler, as in Xen 4.17's ``xen/common/sched/credit.c``.

Every 30 ms the scheduler gives out credits: 300 for each pCPU of the pool, divided among the active vCPUs by weight
(`share_credits`). A vCPU pays 10 credits for each millisecond it runs. Those that have credits left (UNDER) run before
those that have none (OVER), and a vCPU that wakes with credits left goes before both (BOOST) until the next tick or
accounting finds it running. Each pCPU has its own run queue; one that has nothing better than OVER to run looks for
better work in the others' queues.

Left out: soft affinity, yields, hyperthreads and NUMA nodes (all pCPUs are alike, on one socket), and the time that the
scheduler itself takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from operator import attrgetter
from typing import ClassVar, NamedTuple

from xenlab.scheduling.clock import Action, Clock
from xenlab.scheduling.core import MIGRATING, PARKED, Dom, PCpu, Scheduler, VCpu, next_in_cycle
from xenlab.scheduling.machine import CreditParameters, Domain
from xenlab.scheduling.trace import Trace
from xenlab.scheduling.workload import MS, NEVER, US

BOOST, UNDER, OVER, IDLE = 0, -1, -2, -64
CREDITS_PER_MS = 10
NS_PER_CREDIT = MS // CREDITS_PER_MS
TICKS_PER_TSLICE = 3
#: `CSCHED_MIN_TIMER`: meant as 100 µs, but compared with nanoseconds; kept as Xen has it.
MIN_TIMER = 100
PRIORITY = attrgetter("pri")


class Grant(NamedTuple):
    """What a domain gets: credits for each active vCPU; and whether it got all it can use after another did not."""

    credits: int
    surplus: bool


def _divide_up(a: int, b: int) -> int:
    return -(-a // b)


@lru_cache(maxsize=4096)
def share_credits(
    claims: tuple[tuple[int, int, int], ...], credits: int, per_tslice: int, debt: int = 0
) -> tuple[Grant, ...]:
    """Divide a period's `credits` among domains by weight (``credit.c: csched_acct``); one grant for each claim.

    A claim is a domain's weight, its active vCPUs, and its cap (percent of one pCPU, 0: none). A domain's share counts its weight once for every active vCPU. None gets more than its vCPUs can burn in a period
    (`per_tslice` each), nor more than its cap: what is over goes to the domains that come after it in the list. `debt`
    is by how much the vCPUs' credits summed to less than 0 last time; it is added, so that the sum returns to 0.

    Two domains on one pCPU, the second of twice the weight:

    >>> [grant.credits for grant in share_credits(((256, 1, 0), (512, 1, 0)), credits=300, per_tslice=300)]
    [100, 200]
    """
    grants = []
    total = left = sum(weight * vcpus for weight, vcpus, _ in claims)
    credits += debt
    short = False  # has a domain got less than it can use?
    for weight, vcpus, cap in claims:
        claim = weight * vcpus
        left -= claim
        peak = vcpus * per_tslice
        if debt:
            peak += _divide_up(debt * claim, total)
        if cap:
            peak = min(peak, _divide_up(cap * per_tslice, 100))
        fair = _divide_up(credits * claim, total)
        surplus = False
        if fair < peak:
            short = True
        else:
            if left:
                credits += _divide_up((fair - peak) * total, left)
            surplus = short
            fair = peak
        grants.append(Grant(_divide_up(fair, vcpus), surplus))
    return tuple(grants)


class CreditPCpu(PCpu):
    """A pCPU, its tick, and whether its queue has been sorted since priorities changed."""

    __slots__ = ("last_tickled", "sorted", "tick", "tick_at")

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.sorted = 0
        self.tick_at = NEVER
        self.last_tickled = number
        self.tick: Action


class CreditDom(Dom):
    """A domain and those of its vCPUs that earn credits."""

    __slots__ = ("active",)

    def __init__(self, spec: Domain) -> None:
        super().__init__(spec)
        self.active: list[CreditVCpu] = []


class CreditVCpu(VCpu):
    """A vCPU and its account.

    `paid` counts the credits it has paid for its `cpu_time`. A `fresh` one is boosted, or it earns no credits; the
    next tick that finds it running sees to both. One that has `migrated` since it last woke gets no boost.
    """

    __slots__ = ("active", "fresh", "last_ran", "migrated", "paid")

    def __init__(self, domain: CreditDom, number: int, affinity: int, cpu: PCpu) -> None:
        super().__init__(domain, number, affinity, cpu)
        self.pri = UNDER
        self.active = False
        self.fresh = True
        self.migrated = False
        self.paid = 0
        self.last_ran = 0


class Credit(Scheduler[CreditDom, CreditVCpu, CreditPCpu]):
    """The credit scheduler over one cpupool."""

    priorities: ClassVar[dict[int, str]] = {BOOST: "BOOST", UNDER: "UNDER", OVER: "OVER"}
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
        self.active: list[CreditDom] = []
        self.balance = 0  # the sum of active vCPUs' credits after the last accounting
        self.epoch = 0
        self.idlers = self.all_cpus
        self.steal_from = self.cpus[0].number
        numbers = [cpu.number for cpu in self.cpus]
        self._others = {
            number: [self.by_number[peer] for peer in numbers[i + 1 :] + numbers[: i + 1]]
            for i, number in enumerate(numbers)
        }
        for cpu in self.cpus:
            cpu.tick = self._tick_of(cpu)
        self.set_parameters(parameters)
        clock.at(self.tslice, self.account)

    def set_parameters(self, parameters: CreditParameters) -> None:
        """Change the pool's time slice, rate limit and migration delay (``csched_sys_cntl``)."""
        self.tslice = parameters.tslice_ms * MS
        ticks = TICKS_PER_TSLICE if parameters.tslice_ms >= TICKS_PER_TSLICE else 1
        self.tick_period = parameters.tslice_ms * 1000 // ticks * US
        self.credits_per_tslice = CREDITS_PER_MS * parameters.tslice_ms
        self.ratelimit = parameters.ratelimit_us * US
        self.migration_delay = parameters.migration_delay_us * US

    # Paying and earning.

    def burn(self, vcpu: CreditVCpu, now: int) -> None:
        """Let a running vCPU pay for the time it has run (``burn_credits``), in whole credits.

        Xen carries the part of a credit that is over in two places, and so charges some credits early, never more
        than one; the model charges each when it is due.
        """
        paid = (vcpu.cpu_time + now - vcpu.entered) // NS_PER_CREDIT
        vcpu.credit -= paid - vcpu.paid
        vcpu.paid = paid

    def account(self, now: int) -> int:
        """The accounting, once every time slice (``csched_acct``): give out credits, then set priorities anew."""
        again = now + self.tslice
        if not self.active:
            self.balance = 0
            return again
        for cpu in self.cpus:
            self._pay_ticks(cpu)
        per_tslice = self.credits_per_tslice
        doms = list(self.active)
        claims = tuple([(dom.weight, len(dom.active), dom.cap) for dom in doms])
        grants = share_credits(claims, per_tslice * len(self.cpus), per_tslice, max(0, -self.balance))
        balance = 0
        for dom, (grant, surplus) in zip(doms, grants, strict=True):
            if surplus:  # to the head of the list, so that next time the others get at what it leaves
                self.active.remove(dom)
                self.active.insert(0, dom)
            floor = -_divide_up(_divide_up(dom.cap * per_tslice, 100), len(dom.active)) if dom.cap else -per_tslice
            rich = None
            for vcpu in dom.active:
                vcpu.credit = credit = vcpu.credit + grant
                if credit < 0:
                    vcpu.pri = OVER
                    if credit < floor:
                        credit = self._overdrawn(vcpu, now)
                else:
                    vcpu.pri = UNDER
                    if vcpu.flags & PARKED:
                        self._unpark(vcpu, now)
                    if credit > per_tslice:  # it burns less than it earns: let it earn no more
                        vcpu.credit = credit = credit // 2
                        rich = [*(rich or ()), vcpu]
                balance += credit
            for vcpu in rich or ():
                self._deactivate(vcpu)
        self.balance = balance
        self.epoch += 1
        if self.trace is not None:
            self.trace.snapshot(now, "account", self.vcpus)
        if self.poked:
            self.settle(now)
        return again

    def _pay_ticks(self, cpu: CreditPCpu) -> None:
        """Let what runs on `cpu` pay for its time up to the last tick.

        In Xen the tick does this. Nobody looks at the credit of a running vCPU between ticks but the accounting,
        which sees it as of the last one, so that it is enough to do it here.
        """
        vcpu = cpu.current
        if vcpu is not None:
            last_tick = cpu.tick_at - self.tick_period
            if last_tick > vcpu.entered:
                self.burn(vcpu, last_tick)

    def _overdrawn(self, vcpu: CreditVCpu, now: int) -> int:
        """Park a vCPU that has used more than its domain's cap allows; its credit, which has a lower bound."""
        if vcpu.domain.cap and not vcpu.flags & PARKED:
            vcpu.flags |= PARKED
            self.sleep(vcpu, now)
        vcpu.credit = max(vcpu.credit, -self.credits_per_tslice)
        return vcpu.credit

    def _activate(self, vcpu: CreditVCpu) -> None:
        dom = vcpu.domain
        if not dom.active:
            self.active.insert(0, dom)
        dom.active.insert(0, vcpu)
        vcpu.active = True

    def _deactivate(self, vcpu: CreditVCpu) -> None:
        dom = vcpu.domain
        dom.active.remove(vcpu)
        vcpu.active = False
        vcpu.fresh = True
        if not dom.active:
            self.active.remove(dom)

    def _tick_of(self, cpu: CreditPCpu) -> Action:
        """The tick of a pCPU (``csched_tick``), every 10 ms while it is not idle."""

        def tick(now: int) -> int | None:
            if now != cpu.tick_at:  # stopped, or set anew, since
                return None
            cpu.tick_at = again = now + self.tick_period
            if cpu.sorted != self.epoch:
                cpu.sorted = self.epoch
                cpu.runq.sort(key=PRIORITY, reverse=True)
            vcpu = cpu.current
            if vcpu.fresh:
                vcpu.fresh = False
                if vcpu.pri == BOOST:
                    vcpu.pri = UNDER
                if not vcpu.active:
                    self._activate(vcpu)
                    return again
            if self.idlers and self._best_cpu(vcpu) is not cpu:
                vcpu.flags |= MIGRATING
                self.poke(cpu)
                self.settle(now)
            return again

        return tick

    # Waking and sleeping.

    def wake(self, vcpu: CreditVCpu, now: int) -> None:
        """Queue a vCPU that has become runnable, ahead of the others if it has credits left (``csched_unit_wake``)."""
        if vcpu.migrated:
            vcpu.migrated = False
        elif vcpu.pri == UNDER:
            vcpu.pri = BOOST
            vcpu.fresh = True
            self.note(vcpu, "boost", now)
        _queue(vcpu)
        self._tickle(vcpu)

    def _unpark(self, vcpu: CreditVCpu, now: int) -> None:
        """Let a vCPU that had used up its cap go on; it has not blocked, so it gets no boost."""
        vcpu.flags &= ~PARKED
        if not vcpu.flags:
            self.note(vcpu, "unpark", now)
            _queue(vcpu)
            self._tickle(vcpu)

    def sleep(self, vcpu: CreditVCpu, now: int) -> None:
        """Take a vCPU that is no longer runnable off its pCPU or queue (``csched_unit_sleep``)."""
        if vcpu.cpu.current is vcpu:
            self.poke(vcpu.cpu)
        elif vcpu in vcpu.cpu.runq:
            vcpu.cpu.runq.remove(vcpu)

    def _tickle(self, new: CreditVCpu) -> None:
        """Poke the pCPU that should run `new`: its own, or an idle one (``__runq_tickle``)."""
        cpu = new.cpu
        current = cpu.current
        cur_pri = IDLE if current is None else current.pri
        idlers = self.idlers
        pinned = new.affinity & (new.affinity - 1) == 0
        if (pinned and idlers & cpu.bit) or current is None or (not idlers and new.pri > cur_pri):
            poked = cpu
        elif suitable := idlers & new.affinity:
            # Xen keeps the last pCPU tickled for each pCPU that tickles; here it is for each that `new` waited on.
            cpu.last_tickled = next_in_cycle(cpu.last_tickled, suitable)
            poked = self.by_number[cpu.last_tickled]
        elif idlers and new.pri > cur_pri:
            poked = cpu
        else:
            return
        self.idlers &= ~poked.bit
        self.poke(poked)

    # Deciding.

    def schedule(self, cpu: CreditPCpu, now: int) -> tuple[CreditVCpu | None, int]:
        """Pick the first of the queue, or better work from another pCPU (``csched_schedule``)."""
        current: CreditVCpu | None = cpu.current
        runq = cpu.runq
        if current is not None:
            self.burn(current, now)
            if not current.flags:
                ran = now - current.entered
                if ran < self.ratelimit:
                    return current, MIN_TIMER if ran < MIN_TIMER else self.ratelimit - ran
                _queue(current)
            current.last_ran = now
        if runq and runq[0].pri > OVER:
            chosen: CreditVCpu | None = runq.pop(0)
        else:
            chosen = self._steal(cpu, runq[0].pri if runq else IDLE, now)
            if chosen is None and runq:
                chosen = runq.pop(0)
        if chosen is None:
            self.idlers |= cpu.bit
            cpu.tick_at = NEVER
        elif current is None:
            self.idlers &= ~cpu.bit
            cpu.tick_at = now + self.tick_period - now % self.tick_period
            self.clock.at(cpu.tick_at, cpu.tick)
        return chosen, self.tslice

    def _steal(self, cpu: CreditPCpu, pri: int, now: int) -> CreditVCpu | None:
        """A vCPU of higher priority than `pri` from another busy pCPU's queue (``csched_load_balance``)."""
        for peer in self._others[self.steal_from]:
            if peer.runq and peer.runq[0].pri > pri and peer is not cpu and peer.current is not None:
                for vcpu in peer.runq:
                    if vcpu.pri <= pri:
                        break
                    if vcpu.affinity & cpu.bit and not self._is_cache_hot(vcpu, now):
                        peer.runq.remove(vcpu)
                        vcpu.cpu = cpu
                        self.steal_from = peer.number
                        self.note(vcpu, "steal", now)
                        return vcpu  # type: ignore[no-any-return]
        return None

    def _is_cache_hot(self, vcpu: CreditVCpu, now: int) -> bool:
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

    def domain_left(self, domain: CreditDom, now: int) -> None:
        """Its vCPUs earn no more."""
        for vcpu in list(domain.active):
            self._deactivate(vcpu)


def _queue(vcpu: CreditVCpu) -> None:
    """Put `vcpu` on its pCPU's queue: behind those of its priority, before the first of a lower one."""
    runq, pri = vcpu.cpu.runq, vcpu.pri
    for place, other in enumerate(runq):
        if pri > other.pri:
            runq.insert(place, vcpu)
            return
    runq.append(vcpu)
