"""The processors of the simulated machine, shared among its domains by the models of Xen's schedulers.

Each cpupool has a scheduler of its own. The models advance when somebody looks, or when something changes that decides
who runs: time in which nobody asks costs nothing until then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from xenlab.scheduling import Credit2Parameters, CreditParameters, Domain, Engine, VCpuStatus
from xenlab.scheduling.workload import Workload

#: By how much timers are late, on average (µs): measured on the box, which this machine imitates.
LATE_US = 150.0


@dataclass(frozen=True)
class Pool:
    """A cpupool: its pCPUs, and its scheduler, with the parameters that this has."""

    cpus: frozenset[int]
    parameters: CreditParameters | Credit2Parameters

    @property
    def scheduler(self) -> str:
        """The scheduler's name, as xl has it."""
        return "credit" if isinstance(self.parameters, CreditParameters) else "credit2"


@dataclass(frozen=True)
class CpuClaim:
    """What the scheduler must know of a domain: its parameters, and what each vCPU does and where it may run."""

    domid: int
    weight: int
    cap: int
    runnable: bool
    workloads: tuple[Workload, ...]
    affinities: tuple[frozenset[int], ...]
    pool: int = 0


class Processors:
    """The pCPUs, by cpupool.

    Two busy vCPUs on pCPU 0, of which one is capped at 20 %:

    >>> from xenlab.scheduling import Busy
    >>> pools = {0: Pool(frozenset({0, 1}), CreditParameters())}
    >>> claims = [CpuClaim(domid, 256, cap, True, (Busy(),), (frozenset({0}),)) for domid, cap in ((1, 20), (2, 0))]
    >>> for domid, (vcpu,) in Processors().run(pools, claims, until=30.0).items():
    ...     print(domid, round(vcpu.seconds))
    1 6
    2 24
    """

    def __init__(self) -> None:
        self._pools: dict[int, Pool] = {}
        self._engines: dict[int, Engine] = {}
        self._claims: dict[int, CpuClaim] = {}
        self._earlier: dict[
            int, list[float]
        ] = {}  # what each vCPU had used before its domain came to its pool
        self._now = 0.0

    def run(
        self, pools: Mapping[int, Pool], claims: Sequence[CpuClaim], until: float
    ) -> dict[int, list[VCpuStatus]]:
        """Run these domains from the last call's time to `until` (s); return their vCPUs as they are then."""
        for domid in self._claims.keys() - {claim.domid for claim in claims}:
            self._take_out(domid)
            del self._earlier[domid]
        for claim in claims:
            known = self._claims.get(claim.domid)
            if known is not None and known.pool != claim.pool:
                self._take_out(claim.domid)
        self._follow(pools)
        for claim in claims:
            known = self._claims.get(claim.domid)
            if known is None:
                self._put_in(claim)
            elif claim != known:
                self._change(known, claim)
            self._claims[claim.domid] = claim
        for engine in self._engines.values():
            engine.advance(max(0.0, until - self._now))
        self._now = max(self._now, until)
        return {claim.domid: self._statuses(claim.domid) for claim in claims}

    def _follow(self, pools: Mapping[int, Pool]) -> None:
        """Make, change and end pools; one that gets or loses pCPUs begins anew with the domains it has."""
        for number in self._pools.keys() - pools.keys():
            del self._pools[number]
            self._engines.pop(number, None)
        for number, pool in pools.items():
            known = self._pools.get(number)
            if known is not None and known.cpus == pool.cpus:
                if known != pool:
                    self._engines[number].set_parameters(pool.parameters)
            else:
                for domid in [domid for domid, claim in self._claims.items() if claim.pool == number]:
                    self._take_out(domid)
                self._engines.pop(number, None)
                if pool.cpus:
                    self._engines[number] = Engine(sorted(pool.cpus), pool.parameters, late_us=LATE_US)
            self._pools[number] = pool

    def _take_out(self, domid: int) -> None:
        self._earlier[domid] = [vcpu.seconds for vcpu in self._statuses(domid)]
        self._engines[self._claims.pop(domid).pool].remove(str(domid))

    def _put_in(self, claim: CpuClaim) -> None:
        cpus = tuple(self._allowed(claim, number) for number in range(len(claim.workloads)))
        domain = Domain(
            str(claim.domid), len(claim.workloads), claim.weight, claim.cap, cpus, claim.workloads
        )
        self._engines[claim.pool].add(domain, paused=not claim.runnable)
        self._earlier.setdefault(claim.domid, [0.0] * len(claim.workloads))

    def _change(self, known: CpuClaim, claim: CpuClaim) -> None:
        engine, name = self._engines[claim.pool], str(claim.domid)
        if known.runnable and not claim.runnable:
            engine.pause(name)
        if (known.weight, known.cap) != (claim.weight, claim.cap):
            engine.adjust(name, weight=claim.weight, cap=claim.cap)
        for number, (workload, cpus) in enumerate(zip(claim.workloads, claim.affinities, strict=True)):
            if cpus != known.affinities[number]:
                engine.pin(name, number, self._allowed(claim, number))
            if workload != known.workloads[number]:
                engine.set_workload(name, number, workload)
        if claim.runnable and not known.runnable:
            engine.unpause(name)

    def _allowed(self, claim: CpuClaim, vcpu: int) -> tuple[int, ...]:
        """Where a vCPU may run: its affinity within its pool, or anywhere there if that leaves nothing."""
        cpus = self._pools[claim.pool].cpus
        return tuple(sorted(claim.affinities[vcpu] & cpus or cpus))

    def _statuses(self, domid: int) -> list[VCpuStatus]:
        statuses = self._engines[self._claims[domid].pool].vcpus(str(domid))
        earlier = self._earlier[domid]
        return [
            replace(vcpu, seconds=vcpu.seconds + before) if before else vcpu
            for vcpu, before in zip(statuses, earlier, strict=True)
        ]
