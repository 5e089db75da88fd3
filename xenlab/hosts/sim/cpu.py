"""How the simulated machine shares its pCPUs among the vCPUs that want them: weighted max-min fairness.

Every vCPU gets as much as it asks for as long as nobody could use the time better; where time is short it
is divided by weight, within the caps and on the pCPUs that hard affinity allows. This is the rule that
Xen's credit scheduler aims at, without its ticks and queues.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

VcpuId = tuple[int, int]  # domain id, vCPU number
TIME_SLICE = 0.030  # seconds; CSCHED_DEFAULT_TSLICE_MS, credit.c


@dataclass(frozen=True)
class CpuClaim:
    """What one vCPU that is not paused asks for.

    `demand` is the share of one pCPU that it would use if it were alone (0 to 1); `weight` and `cap` (in
    per cent of one pCPU, 0 for none) are its domain's; `affinity` holds the pCPUs it may run on.
    """

    vcpu: VcpuId
    demand: float
    weight: int
    cap: int
    affinity: frozenset[int]


@dataclass(frozen=True)
class CpuGrant:
    """What one vCPU got: seconds of CPU time, the pCPU it is on at the end, and if it runs there then."""

    seconds: float
    pcpu: int
    running: bool


def share_cpus(
    claims: Sequence[CpuClaim], pcpus: int, start: float, seconds: float
) -> dict[VcpuId, CpuGrant]:
    """Divide the time from `start` to `start + seconds` on `pcpus` pCPUs.

    Two busy vCPUs on one pCPU with weights 512 and 256 get two thirds and one third:

    >>> web = CpuClaim((1, 0), 1.0, 512, 0, frozenset({0}))
    >>> db = CpuClaim((2, 0), 1.0, 256, 0, frozenset({0}))
    >>> grants = share_cpus([web, db], pcpus=2, start=0.0, seconds=30.0)
    >>> grants[1, 0].seconds, grants[2, 0].seconds
    (20.0, 10.0)
    """
    rates = _fair_rates(claims, pcpus)
    places = _places(claims, rates, pcpus)
    queues: dict[int, list[VcpuId]] = {}
    for claim in claims:
        if claim.demand > 0.5:
            queues.setdefault(places[claim.vcpu], []).append(claim.vcpu)
    slice_number = int((start + seconds) / TIME_SLICE)
    on_cpu = {queue[slice_number % len(queue)] for queue in queues.values()}
    return {
        vcpu: CpuGrant(round(rate * seconds, 9), places[vcpu], vcpu in on_cpu) for vcpu, rate in rates.items()
    }


def _fair_rates(claims: Sequence[CpuClaim], pcpus: int) -> dict[VcpuId, float]:
    """Progressive filling: raise all rates by weight, freeze those that meet a limit, repeat."""
    busy: dict[int, int] = {}  # a domain's weight is divided among its vCPUs that want to run
    for claim in claims:
        busy[claim.vcpu[0]] = busy.get(claim.vcpu[0], 0) + (claim.demand > 0)
    weights = {claim.vcpu: claim.weight / busy[claim.vcpu[0]] for claim in claims if claim.demand > 0}
    rates = {claim.vcpu: 0.0 for claim in claims}
    limits = _limits(claims, pcpus)
    filling = set(weights)
    while filling:
        step, full = min(
            (_room(members, limit, rates, weights, filling), index)
            for index, (members, limit) in enumerate(limits)
            if members & filling
        )
        for vcpu in filling:
            rates[vcpu] += step * weights[vcpu]
        filling -= limits[full][0]
    return rates


def _limits(claims: Sequence[CpuClaim], pcpus: int) -> list[tuple[set[VcpuId], float]]:
    """Sets of vCPUs that together may not get more than so many pCPUs' time."""
    limits = [({claim.vcpu}, claim.demand) for claim in claims if claim.demand > 0]
    for domid, cap in {claim.vcpu[0]: claim.cap for claim in claims if claim.cap}.items():
        limits.append(({claim.vcpu for claim in claims if claim.vcpu[0] == domid}, cap / 100))
    # Hall's condition: rates are possible if no set of pCPUs is overcommitted by the vCPUs confined to it.
    everywhere = frozenset(range(pcpus))
    confinements = {everywhere}
    for claim in claims:
        mask = claim.affinity & everywhere or everywhere
        confinements |= {mask | other for other in confinements} | {mask}
    for confinement in confinements:
        inside = {
            claim.vcpu for claim in claims if (claim.affinity & everywhere or everywhere) <= confinement
        }
        limits.append((inside, float(len(confinement))))
    return limits


def _room(
    members: set[VcpuId],
    limit: float,
    rates: Mapping[VcpuId, float],
    weights: Mapping[VcpuId, float],
    filling: set[VcpuId],
) -> float:
    """How far the rates of those still filling can rise before `members` together reach their limit."""
    taken = sum(rates[vcpu] for vcpu in members)
    return max(0.0, limit - taken) / sum(weights[vcpu] for vcpu in members & filling)


def _places(claims: Sequence[CpuClaim], rates: Mapping[VcpuId, float], pcpus: int) -> dict[VcpuId, int]:
    """A pCPU for every vCPU: the most confined first, each on the least loaded pCPU it may use."""
    load = dict.fromkeys(range(pcpus), 0.0)
    places = {}
    for claim in sorted(claims, key=lambda claim: (len(claim.affinity), -claim.demand, claim.vcpu)):
        allowed = [pcpu for pcpu in load if pcpu in claim.affinity] or list(load)
        pcpu = min(allowed, key=lambda candidate: (load[candidate], candidate))
        load[pcpu] += rates[claim.vcpu]
        places[claim.vcpu] = pcpu
    return places
