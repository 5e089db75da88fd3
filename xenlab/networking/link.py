"""Links: cables between network interfaces, and what a capture on them sees.

An *interface* is where a host meets a network: a name, a hardware address, and on it a medium, which is a
cable (`Link`) or, for a bridge's own interface, the bridge. A vif is such a cable between a guest's ``eth0``
and an interface of dom0 called ``vif<domain id>.<device id>``: netfront at one end, netback at the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Interface
from typing import Protocol

import simpy

from xenlab.networking.ratelimit import Shaper


class Receiver(Protocol):
    """Whoever handles the frames that come in on an interface: a host, or the bridge it is a port of."""

    def receive(self, interface: Interface, frame: bytes) -> None:
        """Handle a frame that came in on `interface`."""


class Medium(Protocol):
    """What an interface sends frames into: a link, or a bridge."""

    def carry(self, sender: Interface, frame: bytes) -> None:
        """Take a frame from `sender` to whoever should have it."""


@dataclass(eq=False)
class Interface:
    """A network interface: a name on a host, a MAC address, IPv4 addresses, and a medium to send into.

    `receiver` handles incoming frames: the host, or a bridge once the interface is a port of it (its
    `master`). `kind` is ``"vif"`` (netback's), ``"veth"`` (one end of a pair) or empty (a card). `proxy_arp`
    answers ARP requests for addresses that the host would route elsewhere. `broadcast` is the broadcast address
    shown with its addresses, where a tool has set one.
    """

    name: str
    mac: str
    host: str
    receiver: Receiver
    kind: str = ""
    index: int = 0
    mtu: int = 1500
    up: bool = True
    proxy_arp: bool = False
    master: str = ""
    broadcast: str = ""
    addresses: list[IPv4Interface] = field(default_factory=list)
    medium: Medium | None = None

    @property
    def carrier(self) -> bool:
        """Is there anything to send into? One end of a veth pair also wants the other end up."""
        if self.kind == "veth" and self.peer is not None and not self.peer.up:
            return False
        return self.up and self.medium is not None

    @property
    def peer(self) -> Interface | None:
        """The interface at the other end of the cable, if there is a cable."""
        return self.medium.other(self) if isinstance(self.medium, Link) else None

    def send(self, frame: bytes) -> None:
        """Hand a frame to the medium; a frame sent on an interface that is down, or has no cable, is lost."""
        if self.up and self.medium is not None:
            self.medium.carry(self, frame)

    def receive(self, frame: bytes) -> None:
        """Hand an incoming frame to the bridge or the host behind this interface, if it is up."""
        if self.up:
            self.receiver.receive(self, frame)


@dataclass(frozen=True)
class Record:
    """One frame on one link: between which hosts, when it was sent, when it arrived, and its bytes.

    Times are simulated seconds. `time` is when tcpdump at the link's first end (dom0's) sees it.
    """

    time: float
    link: str
    sender: str
    receiver: str
    sent: float
    arrived: float
    frame: bytes


class Link:
    """A full-duplex cable between two interfaces.

    Arguments: `near` is the end at which `tap` sees every frame (dom0's end of a vif), `far` the other;
    `delay` is the time a bit needs, in seconds; `bandwidth` the bits a second. Frames in one direction never
    overtake another. `shaper`, if set, holds back what the far end sends, as netback holds back a guest's
    transmissions.
    """

    def __init__(
        self,
        env: simpy.Environment,
        name: str,
        near: Interface,
        far: Interface,
        tap: Callable[[Record], None],
        *,
        delay: float = 20e-6,
        bandwidth: float = math.inf,
    ) -> None:
        self._env = env
        self._tap = tap
        self.name = name
        self.near = near
        self.far = far
        self.delay = delay
        self.bandwidth = bandwidth
        self.shaper: Shaper | None = None
        self._free = {near: 0.0, far: 0.0}  # when each direction has put its last frame on the wire
        near.medium = far.medium = self

    def carry(self, sender: Interface, frame: bytes) -> None:
        """Take a frame from one end to the other."""
        if sender is self.far and self.shaper is not None:
            self.shaper.put(len(frame), lambda: self._transmit(sender, frame))
        else:
            self._transmit(sender, frame)

    def other(self, interface: Interface) -> Interface:
        """The other end of the cable, as seen from one."""
        return self.far if interface is self.near else self.near

    def cut(self) -> None:
        """Pull the cable out of both interfaces; frames under way are lost."""
        for interface in (self.near, self.far):
            if interface.medium is self:
                interface.medium = None

    def _transmit(self, sender: Interface, frame: bytes) -> None:
        sent = max(self._env.now, self._free[sender])
        self._free[sender] = sent + len(frame) * 8 / self.bandwidth
        arrived = self._free[sender] + self.delay
        receiver = self.other(sender)
        seen = self._env.now if sender is self.near else arrived
        record = Record(seen, self.name, sender.host, receiver.host, sent, arrived, frame)

        def deliver(_: simpy.Event) -> None:
            if receiver.medium is self:
                if sender is self.far:
                    self._tap(record)
                receiver.receive(frame)

        if sender is self.near:
            self._tap(record)
        self._env.timeout(arrived - self._env.now).callbacks.append(deliver)
