"""A day of a data centre: events between steps, at each step new demand, a look, and the orders of a policy.

Everything here is simulated. What takes time takes it: a migration as long as pre-copy needs on its part of both links,
a host until it has booted, a failure until it is noticed and its domains have started elsewhere.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from xenlab.datacenter.cluster import DAY, Cluster, DatacenterError, Ints
from xenlab.datacenter.day import Day, Moved
from xenlab.datacenter.ledger import Ledger
from xenlab.datacenter.orders import (
    BOOTING,
    FAILED,
    OFF,
    ON,
    Look,
    Move,
    Policy,
    SwitchOff,
    SwitchOn,
)
from xenlab.datacenter.transfer import transfer


@dataclass(frozen=True)
class Failure:
    """Host number `host` fails at `at` seconds, and works again, empty, `lasts` seconds later."""

    at: float
    host: int
    lasts: float = DAY


@dataclass(frozen=True)
class Site:
    """How a data centre is run, whatever its policy.

    Args:
        step: Seconds between two looks.
        lanes: How many migrations a host takes part in at a time. Each has an equal part of the host's link.
        notice: Seconds until somebody notices that a host has failed.
        restart: Seconds in which a domain boots.
        noise: By what share demand varies at random from step to step.
        remembers: How many looks a policy sees in `Look.history`.

    """

    step: float = 300.0
    lanes: int = 2
    notice: float = 30.0
    restart: float = 60.0
    noise: float = 0.1
    remembers: int = 6

    def __post_init__(self) -> None:
        if self.lanes < 1 or self.remembers < 1 or min(self.notice, self.restart, self.noise) < 0:
            raise DatacenterError("lanes and remembers must be at least 1; notice, restart, noise at least 0")


class Simulation:
    """A day under way. `run` is the whole of it; `advance` one step, for whoever wants to look at `ledger` in between.

    Args:
        cluster: Hosts and domains.
        place: The host of each domain at midnight.
        policy: Looks at each step, and gives orders.
        failures: Hosts that fail.
        site: How the place is run.
        seed: Equal seeds give equal days.

    Raises:
        DatacenterError: A host has not enough memory for the domains placed on it.

    """

    def __init__(
        self,
        cluster: Cluster,
        place: Ints | Sequence[int],
        policy: Policy,
        *,
        failures: Sequence[Failure] = (),
        site: Site | None = None,
        seed: int = 0,
    ) -> None:
        self.cluster, self.policy, self.site = cluster, policy, site or Site()
        self.ledger = Ledger(cluster, _checked(cluster, place))
        self.now = 0.0
        self._wanted = cluster.demand(self.site.step, noise=self.site.noise, seed=seed)
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = count()
        self._lanes = np.full(len(cluster.hosts), self.site.lanes)
        self._queues: list[dict[int, None]] = [{} for _ in cluster.hosts]  # domains that wait for a lane here
        self._homeless: dict[int, None] = {}
        self._bound: dict[int, int] = {}  # domains whose disks are on a host that has failed
        self._starting: dict[int, float] = {}  # domains that boot, and when they will have
        self._journeys: dict[int, tuple[int, int, float, float]] = {}  # by domain: ends, start, downtime
        self._boots: dict[int, int] = {}  # by host: which of its boots counts
        self._moved: list[Moved] = []
        self._refused = 0
        self._steps = 0
        steps, hosts = len(self._wanted), len(cluster.hosts)
        self._loads = np.zeros((steps, hosts), dtype=np.float32)
        self._powers = np.zeros((steps, hosts), dtype=np.int8)
        for failure in failures:
            if not 0 <= failure.host < hosts:
                raise DatacenterError(f"host(={failure.host}) must be a number from 0 to {hosts - 1}")
            self._at(failure.at, self.fail, failure.host, failure.lasts)

    def run(self) -> Day:
        """Run to midnight, and return the day."""
        while self._steps < len(self._wanted):
            self.advance()
        self._until(DAY)
        self.ledger.close(DAY)
        return Day(
            self.cluster,
            self.site.step,
            self._loads,
            self._powers,
            tuple(self._moved),
            self.ledger.joules,
            self.ledger.lacked,
            self.ledger.down,
            float(self._wanted.sum(dtype=float) * self.site.step),
            self._refused,
        )

    def advance(self) -> None:
        """Let time pass to the next step, and do there what the policy says."""
        number, books = self._steps, self.ledger
        if number >= len(self._wanted):
            raise DatacenterError(f"advance() must come at most {number} times: the day is over")
        self._until(number * self.site.step)
        books.want(self._wanted[number], self.now)
        self._loads[number] = books.load / self.cluster.pcpus
        for domain in list(self._homeless):
            self._rehouse(domain)
        for order in self.policy(self.look()):
            if not self._obey(order):
                self._refused += 1
        self._powers[number] = books.power
        self._steps += 1

    def fullest(self) -> int:
        """The host with the most domains now."""
        place = self.ledger.place
        return int(np.bincount(place[place >= 0], minlength=len(self.cluster.hosts)).argmax())

    def look(self) -> Look:
        """What a policy sees now."""
        books, last = self.ledger, self._steps + 1
        return Look(
            self.cluster,
            self.now,
            books.place.copy(),
            books.going.copy(),
            books.demand.copy(),
            books.load / self.cluster.pcpus,
            books.free,
            books.power.copy(),
            self._loads[max(0, last - self.site.remembers) : last].astype(float),
        )

    # -- events

    def _at(self, time: float, action: Callable[..., None], *arguments: Any) -> None:
        heapq.heappush(self._events, (time, next(self._order), action, arguments))

    def _until(self, time: float) -> None:
        while self._events and self._events[0][0] <= time:
            self.now, _, action, arguments = heapq.heappop(self._events)
            action(*arguments)
        self.now = time

    # -- orders

    def _obey(self, order: Move | SwitchOff | SwitchOn) -> bool:
        match order:
            case Move(domain, host):
                return self._accept(domain, host)
            case SwitchOff(host):
                if self.ledger.power[host] != ON or not self.ledger.empty(host):
                    return False
                self.ledger.set_power(host, OFF, self.now)
                return True
            case SwitchOn(host):
                return self._boot(host)
        raise DatacenterError(f"order(={order!r}) must be a Move, a SwitchOff or a SwitchOn")

    def _accept(self, domain: int, host: int) -> bool:
        books = self.ledger
        free = books.free[host] >= self.cluster.need[domain] and books.power[host] != FAILED
        still = books.going[domain] < 0 and books.place[domain] not in (-1, host)
        if not (free and still and self.cluster.domains[domain].shared):
            return False
        books.reserve(domain, host)
        for end in (int(books.place[domain]), host):
            self._queues[end][domain] = None
        self._boot(host)
        self._begin(domain)
        return True

    def _boot(self, host: int) -> bool:
        if self.ledger.power[host] != OFF:
            return False
        self.ledger.set_power(host, BOOTING, self.now)
        self._boots[host] = self._boots.get(host, 0) + 1
        self._at(self.now + self.cluster.hosts[host].boot, self._booted, host, self._boots[host])
        return True

    def _booted(self, host: int, which: int) -> None:
        if self.ledger.power[host] == BOOTING and self._boots[host] == which:
            self.ledger.set_power(host, ON, self.now)
            self._serve(host)

    # -- migrations

    def _begin(self, domain: int) -> None:
        """Begin to move a domain that waits, if both its hosts have a lane for it."""
        source, target = int(self.ledger.place[domain]), int(self.ledger.going[domain])
        if any(self.ledger.power[end] != ON or self._lanes[end] < 1 for end in (source, target)):
            return
        for end in (source, target):
            del self._queues[end][domain]
            self._lanes[end] -= 1
        hosts = self.cluster.hosts
        lane = min(hosts[source].mbit, hosts[target].mbit) / self.site.lanes
        takes = transfer(self.cluster.domains[domain], lane)
        self._journeys[domain] = source, target, self.now, takes.downtime
        self._at(self.now + takes.seconds, self._arrived, domain, self._journeys[domain])

    def _arrived(self, domain: int, journey: tuple[int, int, float, float]) -> None:
        if self._journeys.get(domain) is not journey:
            return  # one of its ends has failed meanwhile
        source, target, start, downtime = self._journeys.pop(domain)
        self.ledger.arrive(domain, self.now)
        self.ledger.down[domain] += downtime
        self._moved.append(Moved(domain, source, target, start, self.now, downtime))
        self._free_lanes(source, target)

    def _free_lanes(self, *ends: int) -> None:
        for end in ends:
            self._lanes[end] += 1
        for end in ends:
            self._serve(end)

    def _serve(self, host: int) -> None:
        for domain in list(self._queues[host]):
            if self._lanes[host] < 1:
                return
            self._begin(domain)

    def _forget(self, domain: int) -> None:
        """A move does not happen, or not to its end."""
        journey = self._journeys.pop(domain, None)
        if journey is None:
            for end in (int(self.ledger.place[domain]), int(self.ledger.going[domain])):
                if end >= 0:
                    self._queues[end].pop(domain, None)
        self.ledger.release(domain)
        if journey is not None:
            self._free_lanes(journey[0], journey[1])

    # -- failures

    def fail(self, host: int, lasts: float = DAY) -> None:
        """A host fails now, and works again, empty, `lasts` seconds later."""
        books = self.ledger
        if books.power[host] == FAILED:
            return
        books.set_power(host, FAILED, self.now)
        lost = (books.place == host).nonzero()[0].tolist()
        for domain in (books.going == host).nonzero()[0].tolist():
            self._forget(domain)
            if self._starting.pop(domain, None):
                self._homeless[domain] = None
        for domain in lost:
            if books.going[domain] >= 0:
                self._forget(domain)
            books.fall(domain, self.now)
            if not self.cluster.domains[domain].shared:
                self._bound[domain] = host
            self._at(self.now + self.site.notice, self._rehouse, domain)
        self._at(self.now + lasts, self._repaired, host)

    def _repaired(self, host: int) -> None:
        self.ledger.set_power(host, ON, self.now)
        for domain in list(self._homeless):
            self._rehouse(domain)

    def _rehouse(self, domain: int) -> None:
        """Start a domain that is down on the least loaded host with enough memory; if there is none, try again."""
        books = self.ledger
        if books.place[domain] >= 0 or books.going[domain] >= 0:
            return
        room = (books.free >= self.cluster.need[domain]) & (books.power == ON)
        if domain in self._bound:
            room &= np.arange(len(room)) == self._bound[domain]
        if room.any():
            self._homeless.pop(domain, None)
            books.reserve(domain, int(np.where(room, books.load / self.cluster.pcpus, np.inf).argmin()))
            self._starting[domain] = self.now + self.site.restart
            self._at(self._starting[domain], self._restarted, domain)
            return
        self._homeless[domain] = None
        if domain not in self._bound and not (books.power == BOOTING).any():
            (off,) = ((books.power == OFF) & (self.cluster.memory >= self.cluster.need[domain])).nonzero()
            if off.size:
                self._boot(int(off[0]))

    def _restarted(self, domain: int) -> None:
        if self._starting.get(domain) == self.now:
            del self._starting[domain]
            self._bound.pop(domain, None)
            self.ledger.arrive(domain, self.now)


def _checked(cluster: Cluster, place: Ints | Sequence[int]) -> Ints:
    hosts = np.asarray(place, dtype=np.int64)
    if hosts.shape != (len(cluster.domains),) or not ((hosts >= 0) & (hosts < len(cluster.hosts))).all():
        raise DatacenterError("place(of the domains) must name a host for every domain")
    taken = np.bincount(hosts, cluster.need, minlength=len(cluster.hosts))
    (over,) = (taken > cluster.memory).nonzero()
    if over.size:
        host = cluster.hosts[over[0]]
        raise DatacenterError(
            f"host {host.name!r} must hold its domains' memory: {taken[over[0]]:.0f} MiB of {host.memory}"
        )
    return hosts


def simulate(
    cluster: Cluster,
    place: Ints | Sequence[int],
    policy: Policy,
    *,
    failures: Sequence[Failure] = (),
    site: Site | None = None,
    seed: int = 0,
) -> Day:
    """Simulate a day; the arguments are those of `Simulation`.

    >>> from xenlab.datacenter.cluster import Domain, Host
    >>> two = Cluster((Host("a"), Host("b")), (Domain("web", 8, 4096, demand=(8.0,)),))
    >>> print(simulate(two, [0], lambda look: [SwitchOff(1)], site=Site(noise=0)))
    simulated: 5.4 kWh, 1 of 2 hosts on at most, 1.0 on average; 0 moves; nobody lacked CPU; nobody was down
    """
    return Simulation(cluster, place, policy, failures=failures, site=site, seed=seed).run()
