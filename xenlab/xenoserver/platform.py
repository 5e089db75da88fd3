"""The XenoServer platform at work: clients come and go, servers admit, meter and are paid, in simulated time.

Each server advertises every so often. A client that wants to run something buys an order, asks the information service,
and goes from the best server on until one admits it. The server asks XenoCorp whether the order is good, sets memory
aside, starts a domain, and reports what it is owed every hour. When the order is spent, it ends the domain.

SimPy keeps the time; its unit is the hour.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean, pstdev
from typing import Any

import simpy

from xenlab.commands import XenlabError
from xenlab.xenoserver.roles import (
    InformationService,
    Refused,
    Task,
    XenoCorp,
    XenoServer,
    cost,
)

#: Where the model's servers stand, from west to east, with their operators.
PLACES = (("Palo Alto", 0.05), ("São Paulo", 0.3), ("Cambridge", 0.5), ("Bangalore", 0.75), ("Tokyo", 0.95))
METER = 1.0  # hours between two reports of what a session owes
TRIES = 3  # servers that a client asks before it gives up
SIZES = (512, 1024, 2048)  # MiB
FUNDS = 100_000  # cents that every client has to begin with


@dataclass(frozen=True)
class Scenario:
    """What is to be simulated.

    Args:
        seed: Makes the clients; the same seed makes the same.
        clients: How many there are; each wants one session.
        hours: How long the simulation lasts. Clients come at random within it.
        elasticity: How strongly prices follow the load: 0 not at all, 2 three times the price when full.
        advert_every: Hours between two adverts of a server.
        far: How much clients mind distance, in cents for a GiB and hour over the whole world.

    """

    seed: int = 1
    clients: int = 200
    hours: float = 100.0
    elasticity: float = 0.0
    advert_every: float = 1.0
    far: int = 60

    def __post_init__(self) -> None:
        for name, least in (
            ("clients", 1),
            ("hours", 1),
            ("elasticity", 0),
            ("advert_every", 0.01),
            ("far", 0),
        ):
            if getattr(self, name) < least:
                raise XenlabError(f"{name}(={getattr(self, name)}) must be at least {least}")


@dataclass
class Session:
    """One run of a client's task: where, at what price, from when to when, what it has cost, how it ended."""

    number: int
    task: Task
    server: str = ""
    price: int = 0
    start: float = 0.0
    end: float | None = None
    paid: int = 0
    tries: int = 0
    ending: str = "running"  # then: done, order spent, or why nobody took it


@dataclass
class Outcome:
    """What came out: every session, load over time by server, and what each operator earned (cents)."""

    sessions: list[Session] = field(default_factory=list)
    loads: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    earned: dict[str, int] = field(default_factory=dict)
    hours: float = 0.0

    @property
    def endings(self) -> Counter[str]:
        """How many sessions ended in which way."""
        return Counter(session.ending for session in self.sessions)

    @property
    def refused_at_the_door(self) -> int:
        """How often a client came to a server that had seemed to have room, and had none."""
        return sum(session.tries - bool(session.server) for session in self.sessions)

    def mean_load(self, server: str) -> float:
        """The mean load of a server over the whole time."""
        points = [*self.loads[server], (self.hours, 0.0)]
        area = sum(load * (then[0] - at) for (at, load), then in pairwise(points))
        return area / self.hours

    @property
    def imbalance(self) -> float:
        """How unequal the servers' mean loads are: their standard deviation over their mean; 0 is all alike."""
        means = [self.mean_load(server) for server in self.loads]
        return pstdev(means) / fmean(means) if fmean(means) else 0.0


def simulate(scenario: Scenario) -> Outcome:
    """Run a scenario.

    >>> fixed, following = simulate(Scenario(elasticity=0)), simulate(Scenario(elasticity=2))
    >>> fixed.imbalance > 2 * following.imbalance
    True
    """
    return _Run(scenario).outcome


class _Run:
    def __init__(self, scenario: Scenario) -> None:
        self.scenario, self.random = scenario, random.Random(scenario.seed)
        self.env = simpy.Environment()
        self.corp, self.service = XenoCorp(), InformationService()
        self.outcome = Outcome(hours=scenario.hours)
        self.servers = {
            name: XenoServer(name, f"{name}'s operator", place, elasticity=scenario.elasticity)
            for name, place in PLACES
        }
        for server in self.servers.values():
            self.corp.register(server.operator)
            self.outcome.loads[server.name] = [(0.0, 0.0)]
            self.env.process(self._advertise(server))
        for number in range(1, scenario.clients + 1):
            self.env.process(self._client(number))
        self.env.run(until=scenario.hours)
        self.outcome.earned = {name: self.corp.accounts[each.operator] for name, each in self.servers.items()}

    def _advertise(self, server: XenoServer) -> Generator[Any, Any, None]:
        while True:
            self.service.advertise(server.advert(self.env.now))
            yield self.env.timeout(self.scenario.advert_every)

    def _client(self, number: int) -> Generator[Any, Any, None]:
        draw = self.random
        comes = draw.uniform(0, self.scenario.hours)
        memory, hours = draw.choice(SIZES), draw.expovariate(1 / 8)
        # Clients are many in the middle of this world, and few at its ends.
        task = Task(
            f"client {number}", min(max(draw.gauss(0.5, 0.2), 0), 1), hours, memory, cost(200, memory, 12)
        )
        yield self.env.timeout(comes)
        session = Session(number, task)
        self.outcome.sessions.append(session)
        self.corp.register(task.client, FUNDS)
        order = self.corp.sell_order(task.client, task.budget)
        for advert in self.service.find(task, self.scenario.far)[:TRIES]:
            session.tries += 1
            server = self.servers[advert.server]
            try:
                self.corp.validate(order.number)
                session.price = server.admit(number, task.memory)
            except Refused as refused:
                session.ending = refused.reason
                continue
            session.server, session.start = server.name, self.env.now
            yield from self._run(session, server, order.number)
            break
        else:
            session.ending = "full"
        self.corp.close(order.number)

    def _run(self, session: Session, server: XenoServer, order: int) -> Generator[Any, Any, None]:
        """A session from its domain's start to its end, metered."""
        session.ending = "running"
        self._note(server)
        left = session.task.hours
        while left > 0 and session.ending == "running":
            step = min(METER, left)
            yield self.env.timeout(step)
            left -= step
            owed = cost(session.price, session.task.memory, step)
            paid = self.corp.charge(order, server.operator, owed)
            session.paid += paid
            if paid < owed:
                session.ending = "order spent"
        if session.ending == "running":
            session.ending = "done"
        session.end = self.env.now
        server.release(session.number)
        self._note(server)

    def _note(self, server: XenoServer) -> None:
        self.outcome.loads[server.name].append((self.env.now, server.load))
