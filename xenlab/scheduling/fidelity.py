"""Does the model say what Xen does? The same configurations, predicted by the one and measured on the other.

Four guests boot once. For each configuration some of them are reconfigured and the others paused; then Xen runs
them for a while and ``xentop`` says what each got. What the model is told beforehand is the configuration, how much
dom0 itself used meanwhile, and two things about the machine, for which two configurations serve that are no test: how
long one burst of the blocking guest takes, and by how much timers are late.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from xenlab.commands import Commands
from xenlab.scheduling.driver import Scheduling
from xenlab.scheduling.machine import Credit2Parameters, CreditParameters, Domain, System
from xenlab.scheduling.simulate import predict
from xenlab.scheduling.workload import MS, US, Blocking

#: The guests: their vCPUs, and what they do. `one`, `two` and `pair` compute without end; `waits` writes 20 MiB, sleeps
#: for a second, and so on.
GUESTS = {"one": (1, "burn"), "two": (1, "burn"), "pair": (2, "burn"), "waits": (1, "dirty:20")}
SLEEP_MS = 1000.0
POOL = "lab"
#: Measured on the real Xen of the box, with `xenlab fidelity scheduling --save`.
RECORDED = Path(__file__).with_name("fidelity.csv")


@dataclass(frozen=True)
class Configuration:
    """Guests with their weights, caps and pins, on how many pCPUs, under which scheduler."""

    scheduler: str
    pcpus: int
    guests: tuple[Domain, ...]

    def __str__(self) -> str:
        return f"{self.scheduler}, {self.pcpus} pCPU: {'; '.join(map(_told, self.guests))}"


def _told(guest: Domain) -> str:
    cap = f" cap {guest.cap}" if guest.cap else ""
    pins = "" if guest.cpus is None else f" pinned to {','.join(map(str, guest.cpus))}"
    return f"{guest.name} {guest.weight}{cap}{pins}"


def _guest(name: str, weight: int = 256, cap: int = 0, cpus: tuple[int, ...] | None = None) -> Domain:
    return Domain(name, GUESTS[name][0], weight, cap, cpus)


_G = _guest
#: Alone, this guest computes for one burst and sleeps: how long is the burst?
BURST = Configuration("credit", 1, (_G("waits"),))
#: A cap is filled up at every accounting, each later than the last by a time slice and by what the timer is late.
LATENESS = Configuration("credit", 1, (_G("one", cap=50),))
#: On one pCPU guests are alone in a cpupool; on two they share Pool-0 with dom0.
CONFIGURATIONS = (
    BURST,
    LATENESS,
    Configuration("credit", 1, (_G("one"), _G("two"))),
    Configuration("credit", 1, (_G("one", 512), _G("two"))),
    Configuration("credit", 1, (_G("one", 1024), _G("two"))),
    Configuration("credit", 1, (_G("one", cap=25), _G("two"))),
    Configuration("credit", 1, (_G("one"), _G("pair"))),
    Configuration("credit", 1, (_G("one", 512), _G("two"), _G("pair", 128))),
    Configuration("credit", 1, (_G("one"), _G("waits"))),
    Configuration("credit", 1, (_G("one", 512), _G("two", 512), _G("waits", 128))),
    Configuration("credit2", 1, (_G("one"), _G("two"))),
    Configuration("credit2", 1, (_G("one", 512), _G("two"))),
    Configuration("credit2", 1, (_G("one", 1024), _G("two"))),
    Configuration("credit2", 1, (_G("one", cap=25), _G("two"))),
    Configuration("credit2", 1, (_G("one"), _G("pair"))),
    Configuration("credit2", 1, (_G("one"), _G("waits"))),
    Configuration("credit", 2, (_G("one", 512, cpus=(1,)), _G("two", 256, cpus=(1,)))),
    Configuration("credit", 2, (_G("one"), _G("pair"))),
    Configuration("credit", 2, (_G("one", 512), _G("two"), _G("pair"))),
    Configuration("credit", 2, (_G("one", cap=40), _G("two", cap=70))),
    Configuration("credit", 2, (_G("one", cpus=(0,)), _G("two", cpus=(1,)), _G("pair", 512))),
    Configuration("credit", 2, (_G("pair", cap=50), _G("one"))),
    Configuration("credit2", 2, (_G("one", 512, cpus=(1,)), _G("two", 256, cpus=(1,)))),
    Configuration("credit2", 2, (_G("one"), _G("pair"))),
    Configuration("credit2", 2, (_G("one", 512), _G("two"), _G("pair"))),
    Configuration("credit2", 2, (_G("one", cap=40), _G("two", cap=70))),
    Configuration("credit2", 2, (_G("pair", cap=50), _G("one"))),
)


def suited(scheduler: str) -> tuple[Configuration, ...]:
    """The configurations for which a host will do whose Pool-0, which has dom0 in it, has this scheduler.

    >>> len(suited("credit")), len(suited("credit2"))
    (22, 21)
    """
    return tuple(c for c in CONFIGURATIONS if c.pcpus == 1 or c.scheduler == scheduler)


@dataclass(frozen=True)
class Measurement:
    """What a real Xen gave the guests of a configuration, and dom0 meanwhile: shares in pCPUs."""

    configuration: Configuration
    shares: dict[str, float]
    dom0: float


class Host(Commands, Protocol):
    """What a measurement needs of a host."""

    def create(self, *, name: str, vcpus: int, workload: str) -> Any: ...  # noqa: D102


def measure(host: Host, configurations: Sequence[Configuration], seconds: int = 12) -> Iterator[Measurement]:
    """Run configurations that are `suited` to a host of two pCPUs; yield what came out.

    Each runs for `seconds`, or twice as long where a guest sleeps and wakes. The guests are destroyed and the pCPUs
    given back at the end, however it comes.
    """
    used = {guest.name for configuration in configurations for guest in configuration.guests}
    bench = _Bench(
        host,
        {
            name: host.create(name=name, vcpus=GUESTS[name][0], workload=GUESTS[name][1])
            for name in GUESTS
            if name in used
        },
    )
    try:
        bench.wait_until_booted()
        for (scheduler, pcpus), group in groupby(configurations, lambda c: (c.scheduler, c.pcpus)):
            bench.arrange(scheduler, pcpus)
            for configuration in group:
                bench.configure(configuration)
                host.wait(1)  # what the guests had saved of the configuration before is used up
                # Where some guest's bursts can be counted, one more or less must not show.
                waits = any(guest.name == "waits" for guest in configuration.guests)
                shares = bench.scheduling.shares(2 * seconds if waits else seconds)
                guests = {g.name: float(shares[bench.name_of(g.name)]) for g in configuration.guests}
                yield Measurement(configuration, guests, float(shares["Domain-0"]))
    finally:
        bench.end()


class _Bench:
    """The guests on their host, and how they are configured at this moment, so that only what differs is changed."""

    def __init__(self, host: Host, guests: dict[str, Any]) -> None:
        self.scheduling = Scheduling(host)
        self._guests = guests
        self._paused: set[str] = set()
        self._pool = False
        self._now: dict[str, Domain] = {}
        self._forget()

    def _forget(self) -> None:
        """A domain that comes into a pool begins with the defaults."""
        self._now = {name: replace(_guest(name), cpus=self._pins(name)) for name in self._guests}

    def _pins(self, name: str) -> Any:
        return self._now[name].cpus if name in self._now else None

    def name_of(self, name: str) -> str:
        """What the guest is called there: on a host that is not ours alone names have a prefix."""
        return str(self._guests[name].name)

    def wait_until_booted(self) -> None:
        for guest in self._guests.values():
            guest.wait_for("xenlab: workload")

    def arrange(self, scheduler: str, pcpus: int) -> None:
        """Put the guests into a pool of one pCPU with this scheduler, or for two into Pool-0."""
        if self._pool:
            self.scheduling.end_pool(POOL)
        self._pool = pcpus == 1
        if self._pool:
            self.scheduling.make_pool(POOL, scheduler, [1])  # type: ignore[arg-type]
            for name in self._guests:
                self.scheduling.move(self.name_of(name), POOL)
        self._forget()

    def configure(self, configuration: Configuration) -> None:
        wanted = {guest.name: guest for guest in configuration.guests}
        for name in self._guests:
            if name not in wanted and name not in self._paused:
                self._guests[name].pause()
                self._paused.add(name)
        for name, guest in wanted.items():
            now = self._now[name]
            if (guest.weight, guest.cap) != (now.weight, now.cap):
                self.scheduling.set(self.name_of(name), weight=guest.weight, cap=guest.cap)
            if guest.cpus != now.cpus:
                cpus = "all" if guest.cpus is None else ",".join(map(str, guest.cpus))
                self.scheduling.pin(self.name_of(name), cpus)
            self._now[name] = guest
            if name in self._paused:
                self._guests[name].unpause()
                self._paused.discard(name)

    def end(self) -> None:
        if self._pool:
            self.scheduling.end_pool(POOL)
        for guest in self._guests.values():
            guest.destroy()


@dataclass(frozen=True)
class Machine:
    """What the model must be told of a machine: how long a burst of `waits` computes, how late timers are."""

    burst_ms: float
    late_us: float

    @classmethod
    def of(cls, measurements: Sequence[Measurement]) -> Machine:
        """Work it out from the two configurations that are there for it."""
        shares = {m.configuration: m.shares for m in measurements}
        waits, capped = shares[BURST]["waits"], shares[LATENESS]["one"]
        period_ms = CreditParameters().tslice_ms * LATENESS.guests[0].cap / 100 / capped
        late_ms = max(0.0, period_ms - CreditParameters().tslice_ms)
        return cls(SLEEP_MS * waits / (1 - waits), late_ms * MS / US)


def predicted(
    configuration: Configuration, dom0: float, machine: Machine, runs: int = 5, seconds: float = 12.0
) -> dict[str, float]:
    """What the model says that each guest gets (pCPUs), on the mean of some `runs` of so many simulated `seconds`.

    Which timers fall together is chance, and so is what follows from it: hence several runs.

    `dom0` is what dom0 used of both pCPUs, which the guests in Pool-0 share with it.
    """
    waits = Blocking(machine.burst_ms, SLEEP_MS, "constant")
    domains = [
        replace(guest, workload=waits) if guest.name == "waits" else guest for guest in configuration.guests
    ]
    if configuration.pcpus > 1:
        each = dom0 / 2
        domains.append(Domain("Domain-0", 2, workload=Blocking(1.0, (1 - each) / each)))
    parameters = CreditParameters() if configuration.scheduler == "credit" else Credit2Parameters()
    system = System(tuple(domains), configuration.pcpus, parameters, machine.late_us)
    shares = [predict(system, seconds, seed=seed) for seed in range(runs)]
    return {guest.name: sum(share[guest.name] for share in shares) / runs for guest in configuration.guests}


def compare(measurements: Sequence[Measurement]) -> pd.DataFrame:
    """The table: for each guest of each configuration its share predicted, its share measured, and their difference.

    Shares are in percent of one pCPU, the difference in percentage points. The two configurations that tell about the
    machine (`Machine.of`) are no test, and stand not in the table.
    """
    machine = Machine.of(measurements)
    rows = []
    for measurement in measurements:
        configuration = measurement.configuration
        if configuration in (BURST, LATENESS):
            continue
        said = predicted(configuration, measurement.dom0, machine)
        for guest in configuration.guests:
            expected, found = 100 * said[guest.name], 100 * measurement.shares[guest.name]
            rows.append(
                (
                    configuration.scheduler,
                    configuration.pcpus,
                    str(configuration),
                    guest.name,
                    round(expected, 1),
                    round(found, 1),
                    round(found - expected, 1),
                )
            )
    columns = ["scheduler", "pCPUs", "configuration", "guest", "predicted", "measured", "error"]
    return pd.DataFrame(rows, columns=columns)


def save(measurements: Sequence[Measurement], path: Path) -> None:
    """Keep measurements as CSV, a row a guest."""
    rows = [
        (str(m.configuration), name, share, m.dom0) for m in measurements for name, share in m.shares.items()
    ]
    pd.DataFrame(rows, columns=["configuration", "guest", "share", "dom0"]).to_csv(path, index=False)


def load(path: Path = RECORDED) -> list[Measurement]:
    """Measurements that `save` kept; unless told otherwise those that came with xenlab."""
    frame = pd.read_csv(path)
    known = {str(configuration): configuration for configuration in CONFIGURATIONS}
    return [
        Measurement(
            known[str(name)], dict(zip(rows.guest, rows["share"], strict=True)), float(rows.dom0.iloc[0])
        )
        for name, rows in frame.groupby("configuration", sort=False)
    ]
