"""ICMP: echo requests and replies (`ping`), and the errors by which hosts and routers say why a packet got no
further.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import dpkt

from xenlab.networking import frames
from xenlab.networking.frames import ip_text

if TYPE_CHECKING:
    from xenlab.networking.host import Host

UNREACHABLE, TIME_EXCEEDED = 3, 11
#: Codes of UNREACHABLE.
NET, HOST, PROTOCOL, PORT = 0, 1, 2, 3

#: What `ping` prints for an ICMP error, by (type, code) (iputils ping.c: pr_icmph).
PING_WORDS = {
    (UNREACHABLE, NET): "Destination Net Unreachable",
    (UNREACHABLE, HOST): "Destination Host Unreachable",
    (UNREACHABLE, PROTOCOL): "Destination Protocol Unreachable",
    (UNREACHABLE, PORT): "Destination Port Unreachable",
    (TIME_EXCEEDED, 0): "Time to live exceeded",
}
#: What a socket's error says, by code of UNREACHABLE (Linux icmp.c: icmp_err_convert).
SOCKET_WORDS = {
    NET: "Network is unreachable",
    HOST: "No route to host",
    PROTOCOL: "Protocol not available",
    PORT: "Connection refused",
}


@dataclass(frozen=True)
class Trouble:
    """An ICMP error: its type and code, who sent it, and the packet it is about."""

    kind: int
    code: int
    source: str
    about: dpkt.Packet

    @property
    def is_final(self) -> bool:
        """Does it end a connection that is being opened?"""
        return self.kind == UNREACHABLE and self.code in SOCKET_WORDS


class Transport(Protocol):
    """A protocol above IP in one host: takes its packets, and hears of errors about those it sent."""

    def receive(self, packet: dpkt.Packet) -> None:
        """Handle a packet that has arrived."""

    def trouble(self, trouble: Trouble) -> None:
        """Handle an ICMP error about a packet of this protocol."""


@dataclass(frozen=True)
class Answer:
    """What came back for echo request number `sequence`: a reply, or the `trouble` it met."""

    sequence: int
    source: str
    ttl: int
    size: int
    trouble: Trouble | None = None


class Icmp:
    """ICMP in one host: answers echo requests, and passes replies and errors to whom they concern."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._pings: dict[int, Callable[[Answer], None]] = {}

    def listen(self, ident: int, heard: Callable[[Answer], None]) -> None:
        """Call `heard` for every reply to echo requests with this identifier, and every error about them."""
        self._pings[ident] = heard

    def receive(self, packet: dpkt.Packet) -> None:
        """Handle an ICMP message that has arrived."""
        message, source = packet.data, ip_text(packet.src)
        if message.type == dpkt.icmp.ICMP_ECHO:
            request = message.data
            reply = frames.echo(dpkt.icmp.ICMP_ECHOREPLY, request.id, request.seq, bytes(request.data))
            self._host.send(
                frames.ipv4(
                    ip_text(packet.dst), source, reply, ident=self._host.next_ident(), dont_fragment=False
                )
            )
        elif message.type == dpkt.icmp.ICMP_ECHOREPLY:
            self._heard(message.data.id, Answer(message.data.seq, source, packet.ttl, len(message)))
        elif message.type in (UNREACHABLE, TIME_EXCEEDED):
            trouble = Trouble(message.type, message.code, source, message.data.data)
            transport = self._host.transports.get(trouble.about.p)
            if transport is not None:
                transport.trouble(trouble)

    def trouble(self, trouble: Trouble) -> None:
        """An echo request of ours met an error."""
        echo = trouble.about.data
        if echo.type == dpkt.icmp.ICMP_ECHO:
            self._heard(echo.data.id, Answer(echo.data.seq, trouble.source, 0, 0, trouble))

    def _heard(self, ident: int, answer: Answer) -> None:
        if ident in self._pings:
            self._pings[ident](answer)
