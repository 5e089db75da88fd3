"""Neighbours: which MAC address has an IP address on this network, found and kept by ARP as Linux does.

A host that has a packet for 10.0.0.2 on its own network must know the MAC address of 10.0.0.2. It asks
everybody (*who has 10.0.0.2?*), up to three times a second apart; the packet waits. The answer goes into the
neighbour table, and grows old there:

* ``INCOMPLETE``: asked, no answer yet. ``FAILED``: three times no answer; what waited is lost, and its sender
  is told.
* ``REACHABLE``: an answer came, or TCP's progress proves it, within the last 15 to 45 s.
* ``STALE``: it was right once. It is used as it is, but its first use makes it ``DELAY``.
* ``DELAY``: used for 5 s without proof; then ``PROBE``: asked directly, three times, and if that fails,
  ``FAILED``.

Four more rules matter on a Xen host. A host answers for its own addresses, on whatever interface it is asked.
With *proxy ARP* a router also answers for addresses that it would route to another interface (vif-route and
vif-nat need this); it waits a random time, up to 0.8 s, before it does. A *gratuitous* ARP, sent by a guest
that has moved, asks for its own address: nobody answers, but every bridge learns the new port. And who asks
is remembered by whom it asked, so that the answer needs no second question.

Sources: Linux net/core/neighbour.c (neigh_timer_handler, __neigh_event_send, neigh_update), net/ipv4/arp.c
(arp_process, arp_solicit), net/ipv4/devinet.c (inetdev_send_gratuitous_arp).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import dpkt
import simpy

from xenlab.networking import frames
from xenlab.networking.clock import Timer
from xenlab.networking.frames import BROADCAST, ip_text, mac_text
from xenlab.networking.link import Interface

if TYPE_CHECKING:
    from xenlab.networking.host import Host

BASE_REACHABLE_TIME = 30.0
DELAY_PROBE_TIME = 5.0
RETRANS_TIME = 1.0
PROBES = 3
#: An entry that changed less than this ago is not changed by a second, different answer.
LOCKTIME = 1.0
#: A proxy answers a broadcast request after a random time up to this.
PROXY_DELAY = 0.8


class State(StrEnum):
    """How far a neighbour is known (the NUD states of `ip neigh`)."""

    NONE = "NONE"
    INCOMPLETE = "INCOMPLETE"
    REACHABLE = "REACHABLE"
    STALE = "STALE"
    DELAY = "DELAY"
    PROBE = "PROBE"
    FAILED = "FAILED"

    @property
    def valid(self) -> bool:
        """Is there a MAC address to send to?"""
        return self in (State.REACHABLE, State.STALE, State.DELAY, State.PROBE)


@dataclass(eq=False)
class Neighbour:
    """One entry of the table. Times are simulated seconds; `waiting` holds packets that need the address."""

    ip: str
    interface: Interface
    timer: Timer
    mac: str = ""
    state: State = State.NONE
    confirmed: float = -2 * BASE_REACHABLE_TIME
    updated: float = -2 * LOCKTIME
    used: float = 0.0
    probes: int = 0
    waiting: list[bytes] = field(default_factory=list)


class Arp:
    """The neighbour table of one host, and the ARP messages it sends and answers.

    Arguments: `host` supplies addresses, routes, and is told by `host.unreachable` of packets that found no
    neighbour.
    """

    def __init__(self, env: simpy.Environment, host: Host, rng: random.Random) -> None:
        self._env = env
        self._host = host
        self._rng = rng
        self._reachable_time = BASE_REACHABLE_TIME * rng.uniform(0.5, 1.5)
        self._table: dict[tuple[str, str], Neighbour] = {}

    def entries(self) -> list[Neighbour]:
        """The table, in the order in which the neighbours were first met."""
        return [entry for entry in self._table.values() if entry.state is not State.NONE]

    def flush(self, interface: Interface) -> None:
        """Forget all neighbours on an interface, as the kernel does when it goes away."""
        for key in [key for key, entry in self._table.items() if entry.interface is interface]:
            self._table.pop(key).timer.stop()

    def send(self, interface: Interface, next_hop: str, packet: bytes, *, confirmed: bool = False) -> None:
        """Send an IPv4 packet to a neighbour, asking for its MAC address first if need be.

        `confirmed` says that TCP has just made progress with it, which proves that it is there.
        """
        entry = self._entry(interface, next_hop)
        if confirmed and entry.state.valid:
            entry.confirmed = self._env.now
        if entry.state is not State.REACHABLE:
            entry.used = self._env.now
        if entry.state.valid:
            if entry.state is State.STALE:
                self._enter(entry, State.DELAY, timer=DELAY_PROBE_TIME)
            interface.send(frames.ethernet(interface.mac, entry.mac, packet))
            return
        entry.waiting.append(packet)
        if entry.state is not State.INCOMPLETE:
            entry.probes = 0
            self._enter(entry, State.INCOMPLETE, timer=RETRANS_TIME)
            self._solicit(entry)

    def announce(self, interface: Interface) -> None:
        """Send a gratuitous ARP for each address of an interface, as a guest does when it has been resumed
        elsewhere.
        """
        for address in interface.addresses:
            ip = str(address.ip)
            message = frames.arp(frames.REQUEST, interface.mac, ip, ip)
            interface.send(frames.ethernet(interface.mac, BROADCAST, message))

    def receive(self, interface: Interface, message: dpkt.Packet, *, to_me_alone: bool) -> None:
        """Handle an ARP message that came in on an interface, in a frame for this host or for everybody."""
        self._process(interface, message, to_me_alone, delayed=False)

    def _process(
        self, interface: Interface, message: dpkt.Packet, to_me_alone: bool, *, delayed: bool
    ) -> None:
        sender, target = ip_text(message.spa), ip_text(message.tpa)
        sender_mac = mac_text(message.sha)
        if message.op == frames.REQUEST and not self._host.is_local(sender):
            if self._host.is_local(target):
                self._heard(interface, sender, sender_mac)
                self._answer(interface, message)
                return
            if self._is_proxy_for(interface, target):
                self._heard(interface, sender, sender_mac)
                if delayed or to_me_alone:
                    self._answer(interface, message)
                else:
                    self._later(lambda: self._process(interface, message, to_me_alone, delayed=True))
                return
        entry = self._table.get((interface.name, sender))
        if entry is not None:
            replied = message.op == frames.REPLY and to_me_alone
            gratuitous = sender == target
            override = gratuitous or self._env.now > entry.updated + LOCKTIME
            self._update(entry, sender_mac, State.REACHABLE if replied else State.STALE, override)

    def _is_proxy_for(self, interface: Interface, target: str) -> bool:
        if not (self._host.forwarding and interface.proxy_arp):
            return False
        route = self._host.routes.lookup(target)
        return route is not None and route.device != interface.name

    def _later(self, action: Callable[[], None]) -> None:
        Timer(self._env, action).start(self._rng.uniform(0.0, PROXY_DELAY))

    def _answer(self, interface: Interface, question: dpkt.Packet) -> None:
        asker = mac_text(question.sha)
        answer = frames.arp(
            frames.REPLY, interface.mac, ip_text(question.tpa), ip_text(question.spa), target_mac=asker
        )
        interface.send(frames.ethernet(interface.mac, asker, answer))

    def _heard(self, interface: Interface, ip: str, mac: str) -> None:
        """Somebody asked us something: remember where the answer goes."""
        self._update(self._entry(interface, ip), mac, State.STALE, override=True)

    def _update(self, entry: Neighbour, mac: str, state: State, override: bool) -> None:
        old, same = entry.state, entry.mac == mac
        if state is State.REACHABLE:
            entry.confirmed = self._env.now
        if old.valid and not same and not override:
            return
        if old.valid and same and state is State.STALE:
            return
        if state is old and same:
            return
        entry.updated = self._env.now
        entry.mac = mac
        if state is not State.REACHABLE and not same:
            entry.confirmed = self._env.now - 2 * BASE_REACHABLE_TIME
        if state is not old:
            self._enter(entry, state, timer=self._reachable_time if state is State.REACHABLE else None)
        if not old.valid:
            waiting, entry.waiting = entry.waiting, []
            for packet in waiting:
                self.send(entry.interface, entry.ip, packet)

    def _tick(self, entry: Neighbour) -> None:
        """The entry's timer fired."""
        now = self._env.now
        match entry.state:
            case State.REACHABLE:
                if now < entry.confirmed + self._reachable_time:
                    entry.timer.start(entry.confirmed + self._reachable_time - now)
                elif now <= entry.used + DELAY_PROBE_TIME:
                    entry.updated = now
                    self._enter(entry, State.DELAY, timer=DELAY_PROBE_TIME)
                else:
                    entry.updated = now
                    self._enter(entry, State.STALE)
            case State.DELAY if now <= entry.confirmed + DELAY_PROBE_TIME:
                entry.updated = now
                self._enter(entry, State.REACHABLE, timer=entry.confirmed + self._reachable_time - now)
            case State.DELAY:
                entry.updated, entry.probes = now, 0
                self._enter(entry, State.PROBE, timer=RETRANS_TIME)
                self._solicit(entry)
            case _ if entry.probes >= PROBES:
                self._fail(entry)
            case _:
                entry.timer.start(RETRANS_TIME)
                self._solicit(entry)

    def _fail(self, entry: Neighbour) -> None:
        entry.updated, entry.mac = self._env.now, ""
        self._enter(entry, State.FAILED)
        waiting, entry.waiting = entry.waiting, []
        for packet in waiting:
            self._host.unreachable(packet)

    def _solicit(self, entry: Neighbour) -> None:
        """Ask for the entry's MAC address: everybody, or, if it is only to be confirmed, the neighbour
        itself.
        """
        entry.probes += 1
        interface = entry.interface
        source = self._source_of(entry)
        question = frames.arp(frames.REQUEST, interface.mac, source, entry.ip)
        interface.send(frames.ethernet(interface.mac, entry.mac or BROADCAST, question))

    def _source_of(self, entry: Neighbour) -> str:
        """In whose name we ask: the waiting packet's source if that is ours, else an address of the
        interface.
        """
        if entry.waiting:
            source = ip_text(entry.waiting[0][12:16])
            if self._host.is_local(source):
                return source
        return self._host.address_on(entry.interface, towards=IPv4Address(entry.ip))

    def _entry(self, interface: Interface, ip: str) -> Neighbour:
        key = (interface.name, ip)
        if key not in self._table:
            entry = Neighbour(ip, interface, Timer(self._env, lambda: self._tick(self._table[key])))
            self._table[key] = entry
        return self._table[key]

    @staticmethod
    def _enter(entry: Neighbour, state: State, timer: float | None = None) -> None:
        entry.state = state
        if timer is None:
            entry.timer.stop()
        else:
            entry.timer.start(timer)
