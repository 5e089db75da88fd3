"""How long it takes to move a domain while it runs: the pre-copy of `xenlab.migration`, asked once for each kind.

The model counts pages, and that of a guest of 64 GiB has 16 million. But only proportions matter: a guest of twice the
memory and twice the hot pages takes twice as long in every round, if writes and link stay as they are. So the model
runs on a small guest of the same shape. (The rule to stop at 50 dirty pages does not scale; the rounds that
it saves are short.)
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from xenlab.datacenter.cluster import Domain
from xenlab.migration.policies import Xen417
from xenlab.migration.precopy import migrate
from xenlab.migration.rounds import Guest, Path
from xenlab.migration.workloads import hot_cold

#: Memory of the small guest, in MiB.
SMALL = 256
#: Seconds for registers and device state, and until the guest runs at the target.
CHANGE_OVER = 0.06


class Transfer(NamedTuple):
    """A live migration: how many seconds it takes, and in how many of them the domain runs on neither host."""

    seconds: float
    downtime: float


def transfer(domain: Domain, mbit: float) -> Transfer:
    """Move `domain` over a link of `mbit` Mbit/s by the rule of Xen 4.17 (simulated).

    >>> shop = Domain("shop", vcpus=2, memory=4096, demand=(1.0,), hot=128, writes=20)
    >>> fast, slow = transfer(shop, 10_000), transfer(shop, 1_000)
    >>> round(fast.seconds, 1), round(slow.seconds, 1), slow.downtime > fast.downtime
    (3.5, 36.1, True)
    """
    seconds, downtime = _small(domain.hot / domain.memory, domain.writes, mbit)
    scale = domain.memory / SMALL
    return Transfer(seconds * scale + CHANGE_OVER, downtime * scale + CHANGE_OVER)


@lru_cache(maxsize=1 << 14)
def _small(hot: float, writes: float, mbit: float) -> Transfer:
    workload = hot_cold(SMALL, SMALL * hot, 0.95 * writes, 0.05 * writes)
    moved = migrate(Guest(SMALL), workload, Xen417(), Path(mbit=mbit))
    return Transfer(moved.seconds, moved.downtime)
