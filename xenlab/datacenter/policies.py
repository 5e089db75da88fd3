"""Rules by which a data centre is run. They are short, and meant to be copied into a cell and changed.

`place` decides where everybody starts; a policy (`xenlab.datacenter.orders.Policy`) moves them later:

* `Static`: nobody is moved; hosts that are empty at midnight are switched off.
* `Consolidate`: empties the hosts that do least, and switches them off.
* `Hotspots`: moves domains off hosts that have been too busy for some time, after Sandpiper.
* `Both`: two policies, one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from xenlab.datacenter.cluster import Cluster, DatacenterError, Flags, Floats, Ints
from xenlab.datacenter.orders import Look, Move, Order, Policy, Power, SwitchOff
from xenlab.datacenter.packing import Packing, first_fit_decreasing

_TINY = 1e-9


def place(
    cluster: Cluster,
    packing: Packing = first_fit_decreasing,
    limit: float = 0.8,
    by: Literal["peak", "mean", "hours"] = "hours",
) -> Ints:
    """Choose a host for each domain, so that by the numbers of `Domain.demand` none is busier than `limit`.

    Args:
        cluster: Hosts and domains.
        packing: How; one of `xenlab.datacenter.packing`.
        limit: The share of its pCPUs that a host may be asked for, more than 0. Memory may be used to the last MiB.
        by: What of its demand a domain counts for: its `peak`, as if all peaks came at once; its `mean`, as if none
            came; or what it wants in each of 24 `hours`, so that peaks may lie beside each other.

    Raises:
        NoRoom: They do not all fit.

    >>> from xenlab.datacenter.fleet import datacenter
    >>> cluster = datacenter(hosts=6, domains=60)
    >>> [int(place(cluster, by=by).max()) + 1 for by in ("peak", "hours", "mean")]
    [5, 3, 2]

    """
    _positive("limit", limit)
    hours = cluster.demand(3600.0).T.astype(float)
    counts = {
        "hours": hours,
        "peak": hours.max(axis=1, keepdims=True),
        "mean": hours.mean(axis=1, keepdims=True),
    }
    if by not in counts:
        raise DatacenterError(f"by(={by!r}) must be one of: {', '.join(counts)}")
    cpu = counts[by]
    rooms = [np.tile(limit * cluster.pcpus[:, None], cpu.shape[1]), cluster.memory[:, None]]
    return packing(np.hstack([cpu, cluster.need[:, None]]), np.hstack(rooms))


def spread(cluster: Cluster) -> Ints:
    """Place the domains one after another, each on the host with the most free memory: as if nobody counted power.

    Raises:
        DatacenterError: A domain fits nowhere.

    """
    free = cluster.memory.copy()
    hosts = np.empty(len(cluster.domains), dtype=np.int64)
    for domain, need in enumerate(cluster.need):
        hosts[domain] = free.argmax()
        free[hosts[domain]] -= need
        if free[hosts[domain]] < 0:
            raise DatacenterError(f"domain {cluster.domains[domain].name!r} must fit: add hosts, or memory")
    return hosts


@dataclass(frozen=True)
class Static:
    """Nobody is moved. Hosts without a domain are switched off, unless `all_on`."""

    all_on: bool = False

    def __call__(self, look: Look) -> Sequence[Order]:
        """Switch off what is empty."""
        return [] if self.all_on else _empty(look, spare=0)


@dataclass(frozen=True)
class Consolidate:
    """Every `every` seconds, empty the hosts that do least, if their domains fit elsewhere, and switch them off.

    Args:
        below: Only a host less busy than this is emptied.
        limit: No host is filled above this share of its pCPUs.
        every: Seconds between two rounds.
        spare: How many empty hosts stay on, for what may come.

    """

    below: float = 0.4
    limit: float = 0.7
    every: float = 3600.0
    spare: int = 0

    def __post_init__(self) -> None:
        _positive("every", self.every)

    def __call__(self, look: Look) -> Sequence[Order]:
        """Empty hosts, the least loaded first, until one cannot be emptied."""
        orders = _empty(look, self.spare)
        if look.time % self.every:
            return orders
        room = _Room(look, self.limit)
        candidates = np.flatnonzero(look.on & _at_rest(look) & (room.load < self.below))
        for host in candidates[np.argsort(room.load[candidates], kind="stable")]:
            moves = self._emptying(look, room, int(host))
            if moves is None:
                break
            orders += moves
        return orders

    @staticmethod
    def _emptying(look: Look, room: _Room, host: int) -> list[Order] | None:
        """The moves that empty a host; None if some domain fits nowhere, or may not be moved."""
        members = look.domains_on(host)
        if not all(look.cluster.domains[domain].shared for domain in members):
            return None
        kept = room.copy()
        room.close(host)
        moves: list[Order] = []
        for domain in members[np.argsort(-look.demand[members], kind="stable")]:
            target = room.fullest_for(int(domain))
            if target is None:
                room.restore(kept)
                return None
            room.put(int(domain), target)
            moves.append(Move(int(domain), target))
        return moves


@dataclass(frozen=True)
class Hotspots:
    """Move domains off hosts that have been too busy for some time, after Sandpiper.

    T. Wood, P. Shenoy, A. Venkataramani, M. Yousif, *Black-box and Gray-box Strategies for Virtual Machine Migration*,
    NSDI 2007. A host is hot if it was over the threshold in `times` of the last `of` looks, and will be at the next one
    if it goes on as between the last two. How loaded something is, is its *volume*: 1/(1 - CPU) · 1/(1 - memory); the
    paper has the network as a third factor, but domains here have no traffic of their own. The hot host of the largest
    volume comes first. Of its domains the one of the largest volume a MiB goes first, since it takes the most load away
    for what is sent; it goes to the host of the least volume that it does not make hot. If there is none, a host is
    switched on.

    Args:
        threshold: The share of its pCPUs above which a host is too busy.
        times: How many looks above it are needed …
        of: … of so many.

    """

    threshold: float = 0.85
    times: int = 2
    of: int = 3

    def __post_init__(self) -> None:
        _positive("threshold", self.threshold)
        if not 1 <= self.times <= self.of:
            raise DatacenterError(f"times(={self.times}) must lie between 1 and of(={self.of})")

    def hot(self, look: Look) -> Ints:
        """The hosts that are hot, by number."""
        last = look.history[-self.of :]
        often = (last > self.threshold).sum(axis=0) >= self.times
        ahead = last[-1] + (last[-1] - last[-2]) if len(last) > 1 else last[-1]
        (hosts,) = np.nonzero(often & (ahead > self.threshold) & look.on)
        return hosts

    def __call__(self, look: Look) -> Sequence[Order]:
        """Cool the hot hosts, the largest volume first."""
        hot = self.hot(look)
        if not hot.size:
            return []
        room, orders = _Room(look, self.threshold), list[Order]()
        room.closed[hot] = True
        volume = _volume(look.load, 1 - look.free / look.cluster.memory)
        for host in hot[np.argsort(-volume[hot], kind="stable")]:
            orders += self._cooling(look, room, int(host))
        return orders

    def _cooling(self, look: Look, room: _Room, host: int) -> list[Order]:
        cluster, moves = look.cluster, list[Order]()
        members = look.domains_on(host)
        cpu, memory = look.demand[members] / cluster.pcpus[host], cluster.need[members]
        ratio = _volume(cpu, memory / cluster.memory[host]) / memory
        for domain in members[np.argsort(-ratio, kind="stable")].tolist():
            if room.load[host] <= self.threshold:
                break
            if not cluster.domains[domain].shared:
                continue
            target = room.least_loaded_for(domain)
            if target is None:
                continue
            room.take(domain, host)
            room.put(domain, target)
            moves.append(Move(domain, target))
        return moves


@dataclass(frozen=True)
class Both:
    """Two policies, one after the other; what the second orders of a domain that the first moves is refused."""

    first: Policy = field(default_factory=Hotspots)
    then: Policy = field(default_factory=Consolidate)

    def __call__(self, look: Look) -> Sequence[Order]:
        """Return the orders of both."""
        return [*self.first(look), *self.then(look)]


class _Room:
    """How much room the hosts have, as moves are planned: loads that may rise to `limit`, and memory."""

    def __init__(self, look: Look, limit: float) -> None:
        self.look, self.limit = look, limit
        self.load, self.free = look.expected, look.free.copy()
        self.closed = ~(look.on | (look.power == Power.BOOTING))
        self._off = look.power == Power.OFF

    def copy(self) -> tuple[Floats, Ints, np.ndarray]:
        """What `restore` needs."""
        return self.load.copy(), self.free.copy(), self.closed.copy()

    def restore(self, kept: tuple[Floats, Ints, np.ndarray]) -> None:
        """Undo what was planned since `copy`."""
        self.load, self.free, self.closed = kept

    def close(self, host: int) -> None:
        """Nobody shall go there."""
        self.closed[host] = True

    def _fitting(self, domain: int) -> tuple[Floats, np.ndarray]:
        cluster = self.look.cluster
        after = self.load + self.look.demand[domain] / cluster.pcpus
        return after, (after <= self.limit + _TINY) & (self.free >= cluster.need[domain])

    def fullest_for(self, domain: int) -> int | None:
        """The host that has least left afterwards, among those that are not empty."""
        after, fits = self._fitting(domain)
        fits &= ~self.closed & (self.free < self.look.cluster.memory)
        return int(np.where(fits, after, -1.0).argmax()) if fits.any() else None

    def least_loaded_for(self, domain: int) -> int | None:
        """The host of the least volume; if none has room, one that is off."""
        _, fits = self._fitting(domain)
        for allowed in (fits & ~self.closed, fits & self._off):
            if allowed.any():
                volume = _volume(self.load, 1 - self.free / self.look.cluster.memory)
                return int(np.where(allowed, volume, np.inf).argmin())
        return None

    def take(self, domain: int, host: int) -> None:
        """A domain leaves; its memory is free only when it has arrived elsewhere."""
        self.load[host] -= self.look.demand[domain] / self.look.cluster.pcpus[host]

    def put(self, domain: int, host: int) -> None:
        """A domain comes."""
        self.load[host] += self.look.demand[domain] / self.look.cluster.pcpus[host]
        self.free[host] -= self.look.cluster.need[domain]
        if self._off[host]:
            self._off[host] = self.closed[host] = False


def _at_rest(look: Look) -> Flags:
    """Which hosts have domains, none of them on the move, and expect none."""
    stays, goes = (look.place >= 0) & (look.going < 0), look.going >= 0
    hosts = len(look.power)
    left_or_expected = np.concatenate([look.place[goes], look.going[goes]])
    busy = np.bincount(left_or_expected[left_or_expected >= 0], minlength=hosts) > 0
    return (np.bincount(look.place[stays], minlength=hosts) > 0) & ~busy


def _volume(cpu: Floats, memory: Floats) -> Floats:
    """How loaded a host or a domain is: large if either is nearly used up."""
    return 1 / np.maximum(1 - cpu, 0.01) / np.maximum(1 - memory, 0.01)


def _empty(look: Look, spare: int) -> list[Order]:
    """Switch off the hosts that have nobody and expect nobody, but for `spare` of them."""
    (idle,) = (look.on & (look.free == look.cluster.memory)).nonzero()
    return [SwitchOff(int(host)) for host in idle[spare:]]


def _positive(name: str, value: float) -> None:
    if value <= 0:
        raise DatacenterError(f"{name}(={value}) must be more than 0")
