"""What credit2 keeps: run queues that pCPUs share, their loads, and domains' budgets (``credit2.c``)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import inf

from xenlab.scheduling.machine import Domain
from xenlab.scheduling.parts import Dom, PCpu, VCpu
from xenlab.scheduling.workload import MS, NEVER, US

MIN_TIMER = 500 * US
REPLENISHMENT_PERIOD = 10 * MS
LOAD_GRANULARITY = 1024  # ns: `LOADAVG_GRANULARITY_SHIFT` is 10
LOAD_WINDOW = 1 << 20  # of these; 2**30 ns in all
LOAD_ONE = 1 << 18  # one runnable vCPU
BALANCE_UNDER = LOAD_ONE  # `credit2_balance_under=0`
BALANCE_OVER = LOAD_ONE >> 3  # `credit2_balance_over=-3`


class Average:
    """A load averaged over the last 2**30 ns (``update_runq_load``), in units of `LOAD_ONE`."""

    __slots__ = ("updated", "value")

    def __init__(self, value: int, now: float) -> None:
        self.value = value
        self.updated = int(now) // LOAD_GRANULARITY

    def update(self, load: int, now: float) -> None:
        """Count in that the load has been `load` since the last update."""
        time = int(now) // LOAD_GRANULARITY
        delta = time - self.updated
        if delta > LOAD_WINDOW:
            self.value = load * LOAD_ONE
        else:
            self.value += delta * load * LOAD_ONE // LOAD_WINDOW - delta * self.value // LOAD_WINDOW
        self.updated = time


class RunQueue:
    """A run queue and the pCPUs that share it."""

    def __init__(self, cpus: Sequence[Credit2PCpu]) -> None:
        self.cpus = sum(cpu.bit for cpu in cpus)
        self.size = len(cpus)
        self.waiting: list[Credit2VCpu] = []  # by credit, descending
        self.members: list[Credit2VCpu] = []  # all assigned to it, whatever they do
        self.max_weight = 1
        self.idle = self.cpus
        self.tickled = 0
        self.load = 0
        self.average = Average(0, 0)
        self.pick_bias = cpus[0].number

    def join(self, vcpu: Credit2VCpu) -> None:
        """Assign `vcpu` to this run queue, and count in its load."""
        vcpu.queue = self
        self.members.append(vcpu)
        self.max_weight = max(self.max_weight, vcpu.domain.weight)
        self.average.value += vcpu.average.value

    def leave(self, vcpu: Credit2VCpu) -> None:
        """`vcpu` belongs to another run queue from now on, or to none."""
        vcpu.queue = None
        self.members.remove(vcpu)
        self.find_max_weight()
        self.average.value = max(self.average.value - vcpu.average.value, 0)

    def insert(self, vcpu: Credit2VCpu, credit: list[int]) -> None:
        """Let `vcpu` wait, behind those that have as much credit."""
        mine = credit[vcpu.index]
        for place, other in enumerate(self.waiting):
            if mine > credit[other.index]:
                self.waiting.insert(place, vcpu)
                return
        self.waiting.append(vcpu)

    def find_max_weight(self) -> None:
        """Its members, or their weights, have changed."""
        self.max_weight = max((vcpu.domain.weight for vcpu in self.members), default=1)


class Credit2PCpu(PCpu):
    """A pCPU and the run queue it shares."""

    __slots__ = ("queue",)

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.queue: RunQueue


class Credit2Dom(Dom):
    """A domain and, if it is capped, its budget (ns)."""

    __slots__ = ("budget", "parked", "replenish_at", "total_budget")

    def __init__(self, spec: Domain) -> None:
        super().__init__(spec)
        self.total_budget = 0.0
        self.budget = 0.0
        self.parked: list[Credit2VCpu] = []
        self.replenish_at = NEVER

    def limit(self, cap: int) -> None:
        """Change the cap, and how much of the budget each vCPU takes at once; 0: without end."""
        self.cap = cap
        self.total_budget = REPLENISHMENT_PERIOD * cap / 100
        for vcpu in self.vcpus:
            vcpu.quota = max(self.total_budget // len(self.vcpus), MIN_TIMER) if cap else 0.0
            if not cap:
                vcpu.budget = inf

    def lend(self, vcpu: Credit2VCpu) -> bool:
        """Give `vcpu`, which has no running time left, its quota; False if there is none (``unit_grab_budget``)."""
        self.budget += vcpu.budget  # what it has overrun
        vcpu.budget = 0.0
        if self.budget <= 0:
            return False
        vcpu.budget = min(vcpu.quota, self.budget)
        self.budget -= vcpu.budget
        return True

    def take_back(self, vcpu: Credit2VCpu) -> list[Credit2VCpu]:
        """Take what `vcpu` has left; return who was parked and may try again (``unit_return_budget``)."""
        self.budget += vcpu.budget
        vcpu.budget = 0.0
        return self.release()

    def replenish(self) -> list[Credit2VCpu]:
        """Fill up the budget; return who was parked and may try again (``replenish_domain_budget``)."""
        self.budget = min(self.budget + self.total_budget, self.total_budget)
        return self.release()

    def release(self) -> list[Credit2VCpu]:
        """Return who was parked, if there is a budget now."""
        if self.cap and self.budget <= 0:
            return []
        parked, self.parked = self.parked, []
        return parked


class Credit2VCpu(VCpu):
    """A vCPU, what it has taken of its domain's budget, and its place."""

    __slots__ = ("average", "budget", "migrate_to", "queue", "quota", "residual", "start", "tickled_cpu")

    def __init__(self, domain: Credit2Dom, number: int, affinity: int, cpu: PCpu) -> None:
        super().__init__(domain, number, affinity, cpu)
        self.queue: RunQueue | None = None
        self.average = Average(LOAD_ONE // 2, 0)
        self.start = 0.0
        self.residual = 0
        self.tickled_cpu: Credit2PCpu | None = None
        self.migrate_to: RunQueue | None = None
        self.budget = inf  # no cap, no end
        self.quota = 0.0


def most_different(mine: RunQueue, queues: Sequence[RunQueue]) -> RunQueue | None:
    """The run queue whose average load differs most from that of `mine`; None if it is not worth while to balance."""
    others = [queue for queue in queues if queue is not mine]
    if not others:
        return None

    def distance(queue: RunQueue) -> int:
        return abs(mine.average.value - queue.average.value)

    other = max(others, key=distance)
    # Xen compares the load of the last queue it has looked at, not that of the one it has chosen.
    busiest = max(mine.average.value, others[-1].average.value)
    capacity = max(mine.size, others[-1].size) * LOAD_ONE
    tolerance = BALANCE_UNDER if busiest < capacity else BALANCE_OVER
    return None if distance(other) < tolerance else other


def best_exchange(mine: RunQueue, other: RunQueue) -> tuple[Credit2VCpu | None, Credit2VCpu | None]:
    """Whom to push to `other` and whom to pull from there, so that loads come closest (None: nobody)."""
    pushable = [v for v in mine.members if v.migrate_to is None and v.affinity & other.cpus]
    pullable = [v for v in other.members if v.migrate_to is None and v.affinity & mine.cpus]
    exchanges = [(None, None), *product(pushable, [*pullable, None]), *product([None], pullable)]

    def gap(exchange: tuple[Credit2VCpu | None, Credit2VCpu | None]) -> int:
        push, pull = exchange
        shift = (push.average.value if push else 0) - (pull.average.value if pull else 0)
        return abs(mine.average.value - other.average.value - 2 * shift)

    return min(exchanges, key=gap)
