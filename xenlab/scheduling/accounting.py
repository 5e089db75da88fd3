"""What the credit scheduler gives out: credits by weight, to those who earn them (``credit.c: csched_acct``)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from xenlab.scheduling.machine import Domain
from xenlab.scheduling.parts import Dom, PCpu, VCpu


class Claim(NamedTuple):
    """What a domain is entitled to: its weight for each of its active vCPUs, up to its cap (% of a pCPU, 0: none)."""

    weight: int
    vcpus: int
    cap: int


def share_credits(
    claims: Sequence[Claim], credits: int, per_tslice: int, debt: int = 0
) -> list[tuple[int, bool]]:
    """Divide a period's `credits` among domains by weight (``credit.c: csched_acct``).

    For each claim, return the credits that each of its vCPUs gets, and whether that is all they can use although an
    earlier claim fell short.

    A domain's share counts its weight once for every active vCPU. None gets more than its vCPUs can burn in a period
    (`per_tslice` each), nor more than its cap: what is over goes to the domains that come after it in the list. `debt`
    is by how much the vCPUs' credits summed to less than 0 last time; it is added, so that the sum returns to 0.
    All divisions round up.

    Two domains on one pCPU, the second of twice the weight:

    >>> share_credits([Claim(256, 1, 0), Claim(512, 1, 0)], credits=300, per_tslice=300)
    [(100, False), (200, False)]
    """
    grants = []
    total = left = sum([claim.weight * claim.vcpus for claim in claims])
    credits += debt
    short = False
    for claim in claims:
        left -= claim.weight * claim.vcpus
        fair, peak = _fair_and_peak(claim, total, credits, per_tslice, debt)
        if fair < peak:
            short = True
            grants.append((-(-fair // claim.vcpus), False))
        else:
            if left:
                credits += -((peak - fair) * total // left)
            grants.append((-(-peak // claim.vcpus), short))
    return grants


def _fair_and_peak(claim: Claim, total: int, credits: int, per_tslice: int, debt: int) -> tuple[int, int]:
    """A domain's share of the credits by weight, and the most that it can use."""
    weight, vcpus, cap = claim
    peak = vcpus * per_tslice + -(-debt * weight * vcpus // total)
    if cap:
        peak = min(peak, -(-cap * per_tslice // 100))
    return -(-credits * weight * vcpus // total), peak


def share_below_peaks(
    claims: Mapping[Claim, int], credits: int, per_tslice: int, debt: int = 0
) -> dict[Claim, int] | None:
    """`share_credits` where everybody can use its whole share: then neither order nor redistribution matters.

    `claims` counts the domains that make each claim. None if one of them has a surplus.

    >>> share_below_peaks({Claim(256, 1, 0): 128}, credits=4800, per_tslice=300)
    {Claim(weight=256, vcpus=1, cap=0): 38}
    """
    total = sum(claim.weight * claim.vcpus * count for claim, count in claims.items())
    grants: dict[Claim, int] = {}
    for claim in claims:
        fair, peak = _fair_and_peak(claim, total, credits + debt, per_tslice, debt)
        if fair >= peak:
            return None
        grants[claim] = -(-fair // claim.vcpus)
    return grants


class CreditPCpu(PCpu):
    """A pCPU, its tick, and the accounting after which its queue was last sorted. Queues hold `CreditVCpu.index`."""

    __slots__ = ("last_tickled", "sorted", "ticked", "ticks")

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.sorted = 0
        self.ticks = False
        self.ticked = 0.0
        self.last_tickled = number


class CreditDom(Dom):
    """A domain, those of its vCPUs that earn credits, and what it claims for them."""

    __slots__ = ("active", "claim")

    def __init__(self, spec: Domain) -> None:
        super().__init__(spec)
        self.active: list[CreditVCpu] = []
        self.claim: Claim | None = None


class CreditVCpu(VCpu):
    """A vCPU and its account.

    `paid` counts the credits it has paid for its `cpu_time`. A `fresh` one is boosted, or it earns no credits; the
    next tick that finds it running sees to both. One that has `migrated` since it last woke gets no boost.
    """

    __slots__ = ("fresh", "last_ran", "migrated", "paid")

    def __init__(self, domain: CreditDom, number: int, affinity: int, cpu: PCpu) -> None:
        super().__init__(domain, number, affinity, cpu)
        self.fresh = True
        self.migrated = False
        self.paid = 0
        self.last_ran = 0.0


class Earners:
    """The vCPUs that earn credits, by domain: those that a tick has lately found running.

    `slots` holds their indices (`VCpu.index`) by what their domain claims; under None, of those that earn nothing.
    """

    def __init__(self) -> None:
        self.doms: list[CreditDom] = []
        self.slots: defaultdict[Claim | None, set[int]] = defaultdict(set)

    @property
    def resting(self) -> set[int]:
        """The slots of vCPUs that earn nothing."""
        return self.slots[None]

    def join(self, vcpu: CreditVCpu) -> None:
        """`vcpu` earns from now on; its domain, if new here, comes first."""
        dom = vcpu.domain
        if not dom.active:
            self.doms.insert(0, dom)
        dom.active.insert(0, vcpu)
        self.resting.remove(vcpu.index)
        self.update(dom)

    def leave(self, vcpu: CreditVCpu) -> None:
        """`vcpu` earns no more, until a tick finds it running again."""
        dom = vcpu.domain
        dom.active.remove(vcpu)
        if not dom.active:
            self.doms.remove(dom)
        self.slots[dom.claim].remove(vcpu.index)
        self.resting.add(vcpu.index)
        vcpu.fresh = True
        self.update(dom)

    def update(self, dom: CreditDom) -> None:
        """The weight, the cap or the active vCPUs of `dom` have changed."""
        slots = {vcpu.index for vcpu in dom.active}
        if dom.claim is not None:
            self.slots[dom.claim] -= slots
            if not self.slots[dom.claim]:
                del self.slots[dom.claim]
        dom.claim = Claim(dom.weight, len(dom.active), dom.cap) if dom.active else None
        if dom.claim is not None:
            self.slots[dom.claim] |= slots

    def grants(self, credits: int, per_tslice: int, debt: int) -> tuple[int, dict[int, int]]:
        """What most earners get when `credits` are shared, and by slot what each of the others gets.

        A domain with a surplus that others could have used goes to the head of the list, so that next time they do.
        """
        counts = {claim: len(slots) // claim.vcpus for claim, slots in self.slots.items() if claim}
        by_claim = share_below_peaks(counts, credits, per_tslice, debt)
        if by_claim is not None:
            commonest = max(by_claim, key=lambda claim: len(self.slots[claim]))
            most = by_claim.pop(commonest)
            return most, {i: grant for claim, grant in by_claim.items() for i in self.slots[claim]}
        doms = list(self.doms)
        claims = [dom.claim for dom in doms if dom.claim is not None]
        grants = {}
        for dom, (grant, has_surplus) in zip(
            doms, share_credits(claims, credits, per_tslice, debt), strict=True
        ):
            if has_surplus:
                self.doms.remove(dom)
                self.doms.insert(0, dom)
            for vcpu in dom.active:
                grants[vcpu.index] = grant
        return 0, grants
