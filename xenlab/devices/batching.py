"""What batches save: notifications and throughput of a ring against batch size, in simulated time.

A frontend and a backend run side by side, each on a virtual CPU of its own, over a real ring page. Work
takes time by the `Costs` given: building a request, serving it, a hypercall, and the delay until a sleeping
end runs. From these and nothing else follows when an end sleeps, hence how many notifications a ring needs.
The costs are round figures for a picture, not measurements: change them and see what matters.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import simpy

from xenlab.commands import XenlabError
from xenlab.devices import blkif
from xenlab.devices.ring import PAGE_SIZE, BackRing, FrontRing, initialise

_US = 1e-6
Process = Generator[simpy.Event, object, None]


@dataclass(frozen=True)
class Costs:
    """How long things take, in simulated microseconds."""

    build: float = 1.0  # the frontend prepares a request
    serve: float = 0.5  # the backend serves one
    complete: float = 0.25  # the frontend finishes one
    notify: float = 2.0  # the hypercall that sends an event
    wake: float = 1.0  # from an event until the domain that slept runs its handler


@dataclass(frozen=True)
class BatchRun:
    """One simulated run: requests put in groups of `batch`, all answered after `seconds` (simulated)."""

    batch: int
    requests: int
    seconds: float
    frontend_notifications: int
    backend_notifications: int

    @property
    def notifications(self) -> int:
        """Events sent, both ways."""
        return self.frontend_notifications + self.backend_notifications

    @property
    def naive_notifications(self) -> int:
        """Events without a ring's event indices: one for each request, one for each response."""
        return 2 * self.requests

    @property
    def saved(self) -> float:
        """Share of the naive notifications that were not needed, 0 to 1."""
        return 1 - self.notifications / self.naive_notifications

    @property
    def throughput(self) -> float:
        """Requests per simulated second."""
        return self.requests / self.seconds


def run(batch: int, requests: int = 1024, costs: Costs = Costs(), *, naive: bool = False) -> BatchRun:
    """Simulate a frontend that puts requests in groups of `batch` and pushes once a group.

    Arguments: `batch`, from 1 to the 32 slots of a disk's ring; `naive`, whether every request and every
    response is pushed and notified by itself, whatever the other end is doing. Raises `XenlabError` for a
    batch that no ring holds.

    >>> one, eight = run(batch=1), run(batch=8)
    >>> one.notifications < one.naive_notifications
    True
    >>> eight.throughput > run(batch=8, naive=True).throughput
    True
    """
    slots = blkif.PROTOCOL.slots()
    if not 1 <= batch <= slots:
        raise XenlabError(f"batch(={batch}) must be from 1 to {slots}, the slots of the ring")
    return _Simulation(batch, requests, costs, naive).run()


def sweep(
    batches: Sequence[int] = (1, 2, 4, 8, 16, 32),
    requests: int = 1024,
    costs: Costs = Costs(),
) -> list[BatchRun]:
    """Return a run for each batch size: throughput and notifications against batch, for a table or figure."""
    return [run(batch, requests, costs) for batch in batches]


class _Bell:
    """An event channel between two processes: a notification that comes while nobody sleeps is not lost."""

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._rung = env.event()
        self.count = 0

    def ring(self) -> None:
        self.count += 1
        if not self._rung.triggered:
            self._rung.succeed()

    def sleep(self, wake: float) -> Process:
        yield self._rung
        self._rung = self._env.event()
        yield self._env.timeout(wake)


class _Simulation:
    def __init__(self, batch: int, requests: int, costs: Costs, naive: bool) -> None:
        self.batch = batch
        self.requests = requests
        self.costs = costs
        self.naive = naive
        page = memoryview(bytearray(PAGE_SIZE))
        initialise(page)
        self.front = FrontRing(page, blkif.PROTOCOL)
        self.back = BackRing(page, blkif.PROTOCOL)
        self.env = simpy.Environment()
        self.to_backend = _Bell(self.env)
        self.to_frontend = _Bell(self.env)

    def run(self) -> BatchRun:
        self.env.process(self._backend())
        self.env.run(until=self.env.process(self._frontend()))
        seconds = self.env.now * _US
        self.env.run()  # until the backend sleeps: a last notification may still be on its way
        return BatchRun(self.batch, self.requests, seconds, self.to_backend.count, self.to_frontend.count)

    def _push(
        self, end: FrontRing[blkif.Request, blkif.Response] | BackRing[blkif.Request, blkif.Response]
    ) -> Process:
        """Push, and notify the other end if it must be, or always if we are naive."""
        if end.push() or self.naive:
            yield self.env.timeout(self.costs.notify)
            (self.to_backend if end is self.front else self.to_frontend).ring()

    def _frontend(self) -> Process:
        costs, ring = self.costs, self.front
        sent = answered = 0
        while answered < self.requests:
            group = min(self.batch, self.requests - sent)
            while 0 < group <= ring.free:
                for _ in range(group):
                    yield self.env.timeout(costs.build)
                    ring.put([blkif.Request(blkif.READ, id=sent)])
                    sent += 1
                    if self.naive:
                        yield from self._push(ring)
                if not self.naive:
                    yield from self._push(ring)
                group = min(self.batch, self.requests - sent)
            responses = ring.take()
            answered += len(responses)
            yield self.env.timeout(costs.complete * len(responses))
            if not responses and not ring.final_check():
                yield from self.to_frontend.sleep(costs.wake)

    def _backend(self) -> Process:
        ring = self.back
        while True:
            requests = ring.take()
            for request in requests:
                yield self.env.timeout(self.costs.serve)
                ring.put([blkif.Response(request.id, request.operation)])
                if self.naive:
                    yield from self._push(ring)
            if not self.naive and requests:
                yield from self._push(ring)
            if not requests and not ring.final_check():
                yield from self.to_backend.sleep(self.costs.wake)
