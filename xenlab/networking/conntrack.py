"""Connection tracking: which packets belong to one conversation, and where it stands.

A router that translates addresses must remember each conversation it translated, or it could not bring the
answers back. Linux keeps an entry for each: the *original* tuple, as the first packet came (from where, to
where, which ports), and the *reply* tuple, as answers will come. Without translation one is the mirror of the
other; translating means changing the reply tuple, nothing else.

>>> asked = Tuple(TCP, "10.0.1.1", 40001, "192.168.1.50", 80)
>>> asked.mirrored()
Tuple(protocol=6, source='192.168.1.50', sport=80, destination='10.0.1.1', dport=40001, icmp_type=0)

Sources: Linux net/netfilter/nf_conntrack_core.c, nf_conntrack_proto_{tcp,udp,icmp}.c (states and timeouts).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import dpkt
import simpy

from xenlab.networking.frames import FIN, RST, SYN, ip_text

ICMP, TCP, UDP = 1, 6, 17
ECHO_REQUEST, ECHO_REPLY = 8, 0

#: How long an entry outlives its last packet, in seconds.
TIMEOUTS = {
    "SYN_SENT": 120.0,
    "SYN_RECV": 60.0,
    "ESTABLISHED": 432_000.0,
    "FIN_WAIT": 120.0,
    "CLOSE_WAIT": 60.0,
    "LAST_ACK": 30.0,
    "TIME_WAIT": 120.0,
    "CLOSE": 10.0,
    "UDP": 30.0,
    "UDP stream": 120.0,
    "ICMP": 30.0,
}


@dataclass(frozen=True)
class Tuple:
    """What tells one conversation's packets in one direction: protocol, addresses, ports.

    For ICMP both ports are the identifier, and `icmp_type` is 8 for requests and 0 for replies.
    """

    protocol: int
    source: str
    sport: int
    destination: str
    dport: int
    icmp_type: int = 0

    def mirrored(self) -> Tuple:
        """The tuple of an answer."""
        kind = (
            {ECHO_REQUEST: ECHO_REPLY, ECHO_REPLY: ECHO_REQUEST}[self.icmp_type]
            if self.protocol == ICMP
            else 0
        )
        return Tuple(self.protocol, self.destination, self.dport, self.source, self.sport, kind)


def tuple_of(packet: dpkt.Packet) -> Tuple | None:
    """The tuple of an IPv4 packet, or None for what makes no conversation of its own."""
    source, destination, inner = ip_text(packet.src), ip_text(packet.dst), packet.data
    if isinstance(inner, dpkt.tcp.TCP | dpkt.udp.UDP):
        return Tuple(packet.p, source, inner.sport, destination, inner.dport)
    if isinstance(inner, dpkt.icmp.ICMP) and inner.type in (ECHO_REQUEST, ECHO_REPLY):
        return Tuple(ICMP, source, inner.data.id, destination, inner.data.id, inner.type)
    return None


@dataclass(eq=False)
class Entry:
    """One conversation: its tuples, the state of its protocol, whether it was answered, and when it is
    forgotten.
    """

    original: Tuple
    reply: Tuple
    state: str
    replied: bool = False
    assured: bool = False
    since: float = 0.0
    expires: float = 0.0


@dataclass(frozen=True)
class Flow:
    """A packet's place in a conversation: which entry, in which direction, and what it is to it.

    `state` is NEW, ESTABLISHED or RELATED (an ICMP error about the conversation), as in a rule's
    ``--ctstate``.
    """

    entry: Entry
    is_reply: bool
    state: str

    @property
    def onward(self) -> Tuple:
        """The packet's tuple as it must look once translated: the mirror of what comes the other way."""
        return (self.entry.original if self.is_reply else self.entry.reply).mirrored()


class Conntrack:
    """The table of conversations of one host."""

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._table: dict[Tuple, Entry] = {}

    def entries(self) -> Iterator[Entry]:
        """All conversations not yet forgotten, oldest first."""
        for entry in list(dict.fromkeys(self._table.values())):
            if entry.expires > self._env.now:
                yield entry

    def track(self, packet: dpkt.Packet) -> Flow | None:
        """Find a packet's conversation, or start one; None for packets that are not tracked."""
        if isinstance(packet.data, dpkt.icmp.ICMP) and packet.data.type in (3, 11):
            return self._related(packet.data)
        seen = tuple_of(packet)
        if seen is None:
            return None
        entry = self._find(seen)
        if entry is None:
            entry = Entry(seen, seen.mirrored(), _first_state(seen.protocol), since=self._env.now)
            return Flow(entry, is_reply=False, state="NEW")
        is_reply = entry.original != seen
        if is_reply and not entry.replied and seen.protocol == TCP and packet.data.flags & RST:
            self._forget(entry)  # refused: nothing was ever established
            return Flow(entry, is_reply, state="ESTABLISHED")
        entry.replied = entry.replied or is_reply
        self._advance(entry, packet, is_reply)
        return Flow(entry, is_reply, state="ESTABLISHED" if entry.replied else "NEW")

    def confirm(self, entry: Entry) -> None:
        """A conversation's first packet has passed every rule: remember it."""
        if self._find(entry.original) is not entry:
            entry.expires = self._env.now + TIMEOUTS[entry.state]
            self._table[entry.original] = self._table[entry.reply] = entry

    def is_free(self, reply: Tuple) -> bool:
        """Would a conversation with this reply tuple be told apart from all others?"""
        return self._find(reply) is None

    def _find(self, seen: Tuple) -> Entry | None:
        entry = self._table.get(seen)
        if entry is not None and entry.expires <= self._env.now:
            self._forget(entry)
            return None
        return entry

    def _forget(self, entry: Entry) -> None:
        for key in (entry.original, entry.reply):
            self._table.pop(key, None)

    def _related(self, error: dpkt.Packet) -> Flow | None:
        """An ICMP error belongs to the conversation of the packet it quotes, and travels against it."""
        quoted = tuple_of(error.data.data) if isinstance(error.data.data, dpkt.ip.IP) else None
        entry = self._find(quoted.mirrored()) if quoted is not None else None
        if quoted is None or entry is None:
            return None
        return Flow(entry, is_reply=entry.original != quoted.mirrored(), state="RELATED")

    def _advance(self, entry: Entry, packet: dpkt.Packet, is_reply: bool) -> None:
        protocol = entry.original.protocol
        if protocol == TCP:
            entry.state = _next_tcp_state(entry.state, packet.data.flags, is_reply)
            entry.assured = entry.assured or entry.state == "ESTABLISHED"
        elif protocol == UDP and entry.replied and self._env.now > entry.since + 2.0:
            entry.state, entry.assured = "UDP stream", True
        entry.expires = self._env.now + TIMEOUTS[entry.state]


def _first_state(protocol: int) -> str:
    return {TCP: "SYN_SENT", UDP: "UDP", ICMP: "ICMP"}[protocol]


def _next_tcp_state(state: str, flags: int, is_reply: bool) -> str:
    """A TCP conversation's state after a segment (the common part of nf_conntrack_proto_tcp.c's table)."""
    if flags & RST:
        return "CLOSE"
    if flags & SYN:
        if is_reply:
            return "SYN_RECV"
        return state if state == "SYN_RECV" else "SYN_SENT"
    if flags & FIN:
        return "FIN_WAIT" if state in ("SYN_RECV", "ESTABLISHED") else "LAST_ACK"
    return {
        ("SYN_RECV", False): "ESTABLISHED",
        ("FIN_WAIT", True): "CLOSE_WAIT",
        ("FIN_WAIT", False): "CLOSE_WAIT",
        ("LAST_ACK", False): "TIME_WAIT",
        ("LAST_ACK", True): "TIME_WAIT",
    }.get((state, is_reply), state)
