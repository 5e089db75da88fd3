"""What happens in a scenario: small steps as plain data, so that a model and a real network can both take
them.

Each step's `take` is a SimPy process on a model network whose value is the outcome in a few words.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Protocol

import simpy

from xenlab.networking import apps, topologies
from xenlab.networking.network import Network

Outcome = Generator[simpy.Event, Any, str]


class Action(Protocol):
    """One step of a scenario."""

    def take(self, network: Network) -> Outcome:
        """Take the step on a model network; the value is its outcome."""


@dataclass(frozen=True)
class Ping:
    """`host` pings `target` `count` times, a second apart, and waits up to `timeout` seconds for the last
    answer.
    """

    host: str
    target: str
    count: int = 1
    timeout: float = 1.5
    ident: int = 1

    def take(self, network: Network) -> Outcome:
        """Ping."""
        pinged = yield from apps.ping(
            network.hosts[self.host], self.target, count=self.count, timeout=self.timeout, ident=self.ident
        )
        return str(pinged.outcome)


@dataclass(frozen=True)
class Request:
    """`host` connects to a TCP port of `target`, sends ``hello``, reads the reply, and closes."""

    host: str
    target: str
    port: int = 7777
    local_port: int = 40001

    def take(self, network: Network) -> Outcome:
        """Connect."""
        found = yield from apps.request(
            network.hosts[self.host], self.target, self.port, b"hello", local_port=self.local_port
        )
        return str(found.outcome)


@dataclass(frozen=True)
class Datagram:
    """`host` sends one UDP datagram to a port of `target` where nobody listens."""

    host: str
    target: str
    port: int = 9999
    local_port: int = 4001

    def take(self, network: Network) -> Outcome:
        """Send."""
        return (
            yield from apps.datagram(
                network.hosts[self.host], self.target, self.port, b"hello", local_port=self.local_port
            )
        )


@dataclass(frozen=True)
class Wait:
    """Nothing happens for `seconds`."""

    seconds: float

    def take(self, network: Network) -> Outcome:
        """Wait."""
        yield network.env.timeout(self.seconds)
        return ""


@dataclass(frozen=True)
class Move:
    """`guest` is migrated from one server to another, where it is domain `domid`; it announces itself, or
    not.
    """

    guest: str
    source: str
    target: str
    domid: int
    downtime: float = 0.0
    announce: bool = True

    def take(self, network: Network) -> Outcome:
        """Move."""
        hosts = network.hosts
        yield from topologies.migrate(
            network,
            hosts[self.guest],
            hosts[self.source],
            hosts[self.target],
            self.domid,
            downtime=self.downtime,
            announce=self.announce,
        )
        yield network.env.timeout(0.1)
        return ""


@dataclass(frozen=True)
class Upload:
    """`host` sends `size` bytes over TCP to a port of `target`, which takes them; the outcome tells the
    speed.
    """

    host: str
    target: str
    size: int
    port: int = 5001

    def take(self, network: Network) -> Outcome:
        """Upload."""
        taker = next(host for host in network.hosts.values() if host.is_local(self.target))
        seconds = yield from apps.upload(network.hosts[self.host], taker, self.target, self.port, self.size)
        return f"{self.size / seconds / 1e6:.2f} MB/s"
