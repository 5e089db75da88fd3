"""Programs for the hosts of a network: `ping`, a TCP client and server, UDP datagrams, and a guest that just
sends.

Each is a SimPy process (a generator) whose value is what the program found out; run one with `Network.run`.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import simpy

from xenlab.networking import frames
from xenlab.networking.host import Host
from xenlab.networking.icmp import PING_WORDS, SOCKET_WORDS, Answer
from xenlab.networking.tcp import Connection

Process = Generator[simpy.Event, Any, Any]

#: What `ping` sends after its header: 56 bytes.
PING_DATA = bytes(range(56))
#: What the server of `serve` puts before the bytes it sends back.
PREFIX = b"reply:"


@dataclass
class Pinged:
    """What `ping` found out.

    `answers` are the replies and errors in the order they came, each with its round-trip time in simulated
    seconds; `refusal` is set if no packet could be sent at all.
    """

    target: str
    sent: int = 0
    answers: list[tuple[Answer, float]] = field(default_factory=list)
    refusal: str = ""
    duration: float = 0.0

    @property
    def times(self) -> list[float]:
        """The round-trip times of the replies, in seconds."""
        return [time for answer, time in self.answers if answer.trouble is None]

    @property
    def received(self) -> int:
        """How many replies came."""
        return len(self.times)

    @property
    def outcome(self) -> str:
        """In a few words: how many of how many, or what went wrong."""
        if self.refusal:
            return self.refusal
        troubles = [answer.trouble for answer, _ in self.answers if answer.trouble is not None]
        if troubles:
            return PING_WORDS.get((troubles[-1].kind, troubles[-1].code), "error")
        return f"{self.received} of {self.sent}"


def ping(
    host: Host,
    target: str,
    *,
    count: int = 1,
    interval: float = 1.0,
    timeout: float = 4.0,
    ident: int = 1,
    first: int = 1,
) -> Generator[simpy.Event, Any, Pinged]:
    """Send echo requests from `host` to `target`, one each `interval` seconds.

    It ends when each was answered, or `timeout` seconds after the last was sent. `ident` is the ICMP
    identifier, `first` the first sequence number (busybox counts from 0).
    """
    env = host.env
    result = Pinged(target)
    source = host.source_for(target)
    if not source:
        result.refusal = SOCKET_WORDS[0]
        return result
    departures: dict[int, float] = {}
    done = env.event()

    def heard(answer: Answer) -> None:
        result.answers.append((answer, env.now - departures[answer.sequence]))
        if len({seen.sequence for seen, _ in result.answers}) == count and not done.triggered:
            done.succeed()

    host.icmp.listen(ident, heard)
    began = env.now
    for sequence in range(first, first + count):
        if sequence > first:
            yield env.timeout(interval)
        departures[sequence] = env.now
        result.sent += 1
        request = frames.echo(8, ident, sequence, PING_DATA)
        host.send(frames.ipv4(source, target, request, ident=host.next_ident()))
    result.duration = env.now - began
    yield done | env.timeout(timeout)
    return result


@dataclass
class Requested:
    """What a TCP client found out: the `outcome` of connecting (``connected``, or the error), and the
    `reply`.
    """

    outcome: str
    reply: bytes = b""


def request(
    host: Host, target: str, port: int, data: bytes, *, local_port: int = 0, timeout: float = 2.5
) -> Generator[simpy.Event, Any, Requested]:
    """Connect to a server, send it `data`, read one reply, close; give up connecting after `timeout` seconds.

    Between these steps the client rests a tenth of a second, so that a capture of it is easy to read.
    """
    env = host.env
    connection = host.tcp.connect(target, port, local_port=local_port)
    yield connection.opened | env.timeout(timeout)
    if not connection.opened.triggered:
        connection.close()
        return Requested("timed out")
    if connection.opened.value:
        return Requested(connection.opened.value)
    yield env.timeout(0.1)
    connection.send(data)
    reply = connection.read()
    got = yield reply | env.timeout(timeout)
    yield env.timeout(0.1)
    connection.close()
    return Requested("connected", got.todict().get(reply, b""))


def serve(host: Host, port: int) -> None:
    """Start a server that answers each connection's bytes with ``reply:`` and the same bytes, until the
    client closes.
    """

    def conversation(connection: Connection) -> Process:
        while data := (yield connection.read()):
            connection.send(PREFIX + data)
        connection.close()

    host.tcp.listen(port, conversation)


def upload(host: Host, taker: Host, target: str, port: int, size: int) -> Generator[simpy.Event, Any, float]:
    """Send `size` bytes over one TCP connection to a port of `taker`; the value is the seconds until the last
    arrived.
    """
    arrived = host.env.event()

    def take(connection: Connection) -> Process:
        taken = 0
        while taken < size:
            taken += len((yield connection.read()))
        arrived.succeed(host.env.now)
        connection.close()

    taker.tcp.listen(port, take)
    began = host.env.now
    connection = host.tcp.connect(target, port)
    yield connection.opened
    connection.send(bytes(size))
    connection.close()
    yield arrived
    return host.env.now - began


def datagram(
    host: Host, target: str, port: int, data: bytes, *, local_port: int = 4000, pause: float = 0.1
) -> Generator[simpy.Event, Any, str]:
    """Send a UDP datagram, wait a moment, and return the error that came back, or ``sent``."""
    refused = host.udp.send(local_port, target, port, data)
    if refused:
        return refused
    yield host.env.timeout(pause)
    return host.udp.error_of(local_port) or "sent"
