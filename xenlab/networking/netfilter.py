"""Rules: what a router lets through, and whose addresses it translates.

Five points on a packet's way through a host are *chains* of rules: PREROUTING (it came in), INPUT (it is for
the host), FORWARD (it passes through), OUTPUT (the host sends it) and POSTROUTING (it leaves). The ``filter``
table's rules accept or drop. The ``nat`` table's translate: MASQUERADE, on leaving, puts the router's own
address in place of the sender's; DNAT, on entering, puts another destination in place of the router's (*port
forwarding*). Only the first packet of a conversation is shown to the ``nat`` table; connection tracking
treats the rest alike.

>>> Rule("nat", "POSTROUTING", "MASQUERADE", source="10.0.0.0/16", output="lan0").command
'iptables -t nat -A POSTROUTING -s 10.0.0.0/16 -o lan0 -j MASQUERADE'

Xen's vif-nat script gives guests private addresses and routes to them; the MASQUERADE rule above is left to
the administrator.

Sources: Linux net/netfilter/nf_nat_core.c (get_unique_tuple, nf_nat_manip_pkt), nf_nat_masquerade.c,
iptables(8).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

import dpkt
import simpy

from xenlab.networking.conntrack import ICMP, TCP, UDP, Conntrack, Flow, Tuple
from xenlab.networking.frames import ip_bytes, ip_text, seal

if TYPE_CHECKING:
    from xenlab.networking.host import Host

PROTOCOLS = {"all": 0, "icmp": ICMP, "tcp": TCP, "udp": UDP}
CHAINS = {
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
}


@dataclass(frozen=True)
class Rule:
    """One rule of a chain: the packets it matches, and what becomes of them (its `target`).

    `source` and `destination` are networks, `input` and `output` interface names (empty: any), `dport` a port
    (0: any), `states` some of NEW, ESTABLISHED, RELATED (empty: any), `to` the new destination
    ``ADDRESS:PORT`` of a DNAT.
    """

    table: str
    chain: str
    target: str
    source: str = "0.0.0.0/0"
    destination: str = "0.0.0.0/0"
    protocol: str = "all"
    input: str = ""
    output: str = ""
    dport: int = 0
    states: tuple[str, ...] = ()
    to: str = ""

    def matches(self, packet: dpkt.Packet, flow: Flow | None, input: str, output: str) -> bool:
        """Is the rule about this packet?"""
        return (
            self.input in ("", input)
            and self.output in ("", output)
            and PROTOCOLS[self.protocol] in (0, packet.p)
            and self.dport in (0, getattr(packet.data, "dport", None))
            and IPv4Address(packet.src) in IPv4Network(self.source)
            and IPv4Address(packet.dst) in IPv4Network(self.destination)
            and (not self.states or (flow is not None and flow.state in self.states))
        )

    @property
    def command(self) -> str:
        """The command that adds this rule."""
        return f"iptables -t {self.table} -A {self.specification}"

    @property
    def specification(self) -> str:
        """The rule as `iptables -S` prints it, after its ``-A``."""
        words = [self.chain]
        for option, value in (("-s", self.source), ("-d", self.destination)):
            if value != "0.0.0.0/0":
                words += [option, value]
        for option, value in (("-i", self.input), ("-o", self.output)):
            if value:
                words += [option, value]
        if self.protocol != "all":
            words += ["-p", self.protocol]
        if self.dport:
            words += ["-m", self.protocol, "--dport", str(self.dport)]
        if self.states:
            words += ["-m", "conntrack", "--ctstate", ",".join(self.states)]
        words += ["-j", self.target]
        if self.to:
            words += ["--to-destination", self.to]
        return " ".join(words)


@dataclass(eq=False)
class Counter:
    """How many packets, and bytes, met a rule or a chain's policy."""

    packets: int = 0
    bytes: int = 0

    def count(self, packet: dpkt.Packet) -> None:
        """One more packet."""
        self.packets += 1
        self.bytes += len(packet)


class Netfilter:
    """The rules of one host, the conversations it tracks, and the five hooks that the host calls.

    Conversations are tracked once a rule needs that: a translation, or a match on their state.
    """

    def __init__(self, env: simpy.Environment, host: Host, rng: random.Random) -> None:
        self._host = host
        self._rng = rng
        self.conntrack = Conntrack(env)
        self.rules: list[tuple[Rule, Counter]] = []
        self.policies = dict.fromkeys(CHAINS["filter"], "ACCEPT")
        self.policy_counters = {chain: Counter() for chain in CHAINS["filter"]}

    def append(self, rule: Rule) -> None:
        """Add a rule at the end of its chain."""
        self.rules.append((rule, Counter()))

    @property
    def tracking(self) -> bool:
        """Does any rule need connection tracking?"""
        return any(rule.table == "nat" or rule.states for rule, _ in self.rules)

    def exists(self, table: str, chain: str) -> bool:
        """Has the kernel got this chain? It has none until a rule, or a policy other than ACCEPT, is put
        there.
        """
        return self.policies.get(chain, "ACCEPT") != "ACCEPT" or any(
            (rule.table, rule.chain) == (table, chain) for rule, _ in self.rules
        )

    def prerouting(self, packet: dpkt.Packet, input: str) -> Flow | None:
        """A packet came in: find its conversation, and give it the destination it should have."""
        flow = self.conntrack.track(packet) if self.tracking else None
        if flow is not None:
            if flow.state == "NEW":
                self._first("PREROUTING", packet, flow, input, "")
            self._translate_destination(packet, flow)
        return flow

    def input(self, packet: dpkt.Packet, flow: Flow | None, input: str) -> bool:
        """A packet is for this host: may it have it?"""
        if not self._filter("INPUT", packet, flow, input, ""):
            return False
        self._confirm("INPUT", packet, flow, input, "")
        return True

    def forward(self, packet: dpkt.Packet, flow: Flow | None, input: str, output: str) -> bool:
        """A packet passes through: may it?"""
        return self._filter("FORWARD", packet, flow, input, output)

    def output(self, packet: dpkt.Packet, output: str) -> tuple[Flow | None, bool]:
        """The host sends a packet: its conversation, and whether it may leave."""
        flow = self.conntrack.track(packet) if self.tracking else None
        if flow is not None:
            if flow.state == "NEW":
                self._first("OUTPUT", packet, flow, "", output)
            self._translate_destination(packet, flow)
        return flow, self._filter("OUTPUT", packet, flow, "", output)

    def postrouting(self, packet: dpkt.Packet, flow: Flow | None, output: str) -> None:
        """A packet leaves: give it the source it should have, and remember its conversation."""
        if flow is not None:
            self._confirm("POSTROUTING", packet, flow, "", output)
            self._translate_source(packet, flow)

    def _filter(self, chain: str, packet: dpkt.Packet, flow: Flow | None, input: str, output: str) -> bool:
        rule = self._match("filter", chain, packet, flow, input, output)
        if rule is None and self.exists("filter", chain):
            self.policy_counters[chain].count(packet)
        return (rule.target if rule else self.policies[chain]) == "ACCEPT"

    def _confirm(self, chain: str, packet: dpkt.Packet, flow: Flow | None, input: str, output: str) -> None:
        if flow is not None and flow.state == "NEW":
            self._first(chain, packet, flow, input, output)
            self.conntrack.confirm(flow.entry)

    def _match(
        self, table: str, chain: str, packet: dpkt.Packet, flow: Flow | None, input: str, output: str
    ) -> Rule | None:
        for rule, counter in self.rules:
            if (rule.table, rule.chain) == (table, chain) and rule.matches(packet, flow, input, output):
                counter.count(packet)
                return rule
        return None

    def _first(self, chain: str, packet: dpkt.Packet, flow: Flow, input: str, output: str) -> None:
        """Show a conversation's first packet to the nat table; write a translation into its reply tuple."""
        entry = flow.entry
        if self.conntrack.is_free(entry.original):  # else its second packet, before any answer
            rule = self._match("nat", chain, packet, flow, input, output)
            if rule is not None and rule.target == "DNAT":
                address, _, port = rule.to.partition(":")
                entry.reply = replace(entry.reply, source=address, sport=int(port or entry.reply.sport))
            elif rule is not None and rule.target == "MASQUERADE":
                address = self._host.address_on(self._host.interfaces[output])
                entry.reply = self._unique(replace(entry.reply, destination=address))

    def _unique(self, reply: Tuple) -> Tuple:
        """The reply tuple, with another port (or ICMP identifier) if two conversations would look alike."""
        while not self.conntrack.is_free(reply):
            port = self._rng.randrange(1024, 65536)
            reply = replace(reply, dport=port)
            if reply.protocol == ICMP:
                reply = replace(reply, sport=port)
        return reply

    def _translate_destination(self, packet: dpkt.Packet, flow: Flow) -> None:
        onward = flow.onward
        packet.dst = ip_bytes(onward.destination)
        if flow.state == "RELATED":
            self._translate_quoted(packet.data.data.data, flow)
        elif packet.p != ICMP:
            packet.data.dport = onward.dport
        elif flow.is_reply:
            packet.data.data.id = onward.dport

    def _translate_source(self, packet: dpkt.Packet, flow: Flow) -> None:
        onward = flow.onward
        if flow.state == "RELATED":
            against = (flow.entry.reply if flow.is_reply else flow.entry.original).source
            if ip_text(packet.src) != against:
                return  # the error comes from a router on the way, not from the other end
        elif packet.p != ICMP:
            packet.data.sport = onward.sport
        elif not flow.is_reply:
            packet.data.data.id = onward.sport
        packet.src = ip_bytes(onward.source)

    @staticmethod
    def _translate_quoted(quoted: dpkt.Packet, flow: Flow) -> None:
        """Make the packet that an ICMP error quotes look as its sender sent it."""
        sent = flow.entry.original if flow.is_reply else flow.entry.reply
        quoted.src, quoted.dst = ip_bytes(sent.source), ip_bytes(sent.destination)
        if quoted.p == ICMP:
            quoted.data.data.id = sent.sport
        else:
            quoted.data.sport, quoted.data.dport = sent.sport, sent.dport
        if quoted.len == len(quoted):  # a packet quoted in part keeps its checksums, and its length
            seal(quoted)
