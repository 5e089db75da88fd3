"""UDP: single datagrams to a port, and the ICMP error that tells when nobody listens there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import dpkt

from xenlab.networking import frames, icmp
from xenlab.networking.frames import ip_text

if TYPE_CHECKING:
    from xenlab.networking.host import Host


class Udp:
    """UDP in one host: ports with somebody behind them."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._ports: dict[int, Callable[[str, int, bytes], None]] = {}
        self._errors: dict[int, str] = {}

    def bind(self, port: int, handle: Callable[[str, int, bytes], None]) -> None:
        """Call `handle` with the sender's address and port and the data of every datagram to `port`."""
        self._ports[port] = handle

    def send(self, source_port: int, destination: str, port: int, data: bytes) -> str:
        """Send a datagram; return what the host knows at once to be wrong, or ``""``."""
        source = self._host.source_for(destination)
        if not source:
            return icmp.SOCKET_WORDS[icmp.NET]
        datagram = frames.udp(source_port, port, data)
        self._host.send(frames.ipv4(source, destination, datagram, ident=self._host.next_ident()))
        return ""

    def error_of(self, port: int) -> str:
        """The error that the network brought back to a port's datagrams since it was last asked for, or
        ``""``.
        """
        return self._errors.pop(port, "")

    def receive(self, packet: dpkt.Packet) -> None:
        """Hand a datagram that has arrived to its port, or send back that there is none."""
        datagram = packet.data
        if datagram.dport in self._ports:
            self._ports[datagram.dport](ip_text(packet.src), datagram.sport, bytes(datagram.data))
        else:
            self._host.error(icmp.UNREACHABLE, icmp.PORT, packet)

    def trouble(self, trouble: icmp.Trouble) -> None:
        """A datagram of ours met an error: keep it for `error_of`."""
        if trouble.is_final:
            self._errors[trouble.about.data.sport] = icmp.SOCKET_WORDS[trouble.code]
