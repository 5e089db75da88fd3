"""Who gets how much of a host that has too little: what the credit scheduler makes of weights and caps."""

from __future__ import annotations

from collections.abc import Sequence

from xenlab.scheduling.accounting import Claim, share_credits

#: `share_credits` knows caps in whole per cent. Here all is a hundred times as large, so that a hundredth counts.
_FINER = 100
_CREDITS = 1_000_000


def share(pcpus: float, wants: Sequence[float], weights: Sequence[int]) -> list[float]:
    """Divide `pcpus` among domains that want so many each, by weight, as Xen's credit scheduler does.

    One that wants less than its share leaves the rest to the others, just as one with a cap does: so what a domain
    wants goes in as its cap. `share_credits` hands what is left to those later in its list. Xen moves a domain that
    has a surplus to the head of it, period by period; here those come first at once. A weight counts for each vCPU
    that has work.

    >>> share(2, wants=[1, 1, 1], weights=[256, 256, 512])
    [0.5, 0.5, 1.0]
    >>> share(2, wants=[0.25, 1.5], weights=[256, 256])
    [0.25, 1.5]
    """
    busy = [max(1, -int(-want // 1)) for want in wants]
    order = sorted(range(len(wants)), key=lambda i: wants[i] / (weights[i] * busy[i]))
    some = [i for i in order if wants[i] > 0]
    claims = [Claim(weights[i], _FINER * busy[i], max(1, round(100 * _FINER * wants[i]))) for i in some]
    grants = share_credits(claims, round(pcpus * _FINER * _CREDITS), _CREDITS)
    got = [0.0] * len(wants)
    for i, claim, (grant, _) in zip(some, claims, grants, strict=True):
        got[i] = min(float(wants[i]), grant * claim.vcpus / (_FINER * _CREDITS))
    return got
