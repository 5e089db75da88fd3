"""A network: hosts, the links between them, one clock, and everything that was seen on the links.

>>> net = Network()
>>> left, right = net.add_host("left"), net.add_host("right")
>>> link = net.connect(left, "eth0", right, "eth0", name="cable")
>>> for host, address in ((left, "10.0.0.1/24"), (right, "10.0.0.2/24")):
...     host.add_address(host.interfaces["eth0"], address)
>>> from xenlab.networking.apps import ping
>>> net.run(ping(left, "10.0.0.2")).received
1
>>> for line in net.trace()["summary"]:
...     print(line)
ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28
ARP, Reply 10.0.0.2 is-at 02:00:00:00:00:02, length 28
IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 1, seq 1, length 64
IP 10.0.0.2 > 10.0.0.1: ICMP echo reply, id 1, seq 1, length 64
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar, cast

import simpy

from xenlab.networking.dissect import as_table
from xenlab.networking.frames import write_pcap
from xenlab.networking.host import Host
from xenlab.networking.link import Link, Record

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")


class Network:
    """Hosts and links on one simulated clock.

    Arguments: `seed` fixes every random choice; the same seed gives the same frames, byte for byte. `env` is the clock,
    if the network is part of something larger. Every frame seen on a link is passed to all `taps`; the first keeps it
    in `records`.
    """

    def __init__(self, seed: int = 0, env: simpy.Environment | None = None) -> None:
        self.env = env or simpy.Environment()
        self.seed = seed
        self.hosts: dict[str, Host] = {}
        self.links: dict[str, Link] = {}
        self.records: list[Record] = []
        self.taps: list[Callable[[Record], None]] = [self.records.append]
        self._cards = 0

    def add_host(self, name: str, *, forwarding: bool = False) -> Host:
        """Add a machine; `forwarding` makes it a router."""
        self.hosts[name] = Host(self.env, name, forwarding=forwarding, seed=self.seed)
        return self.hosts[name]

    def new_mac(self) -> str:
        """The address of a network card of this network's own, counted up: 02:00:00:00:00:01 and so on."""
        self._cards += 1
        return "02:00:00:00:" + (self._cards).to_bytes(2, "big").hex(":")

    def connect(
        self,
        near: Host,
        near_name: str,
        far: Host,
        far_name: str,
        *,
        name: str,
        near_mac: str = "",
        far_mac: str = "",
        delay: float = 20e-6,
        bandwidth: float = math.inf,
        kind: str = "",
    ) -> Link:
        """Lay a cable between two hosts, making the interfaces at its ends if they are not there yet.

        Captures on the link are taken at the near end. `kind` is that of interfaces made here (see `Interface`).
        """
        ends = [
            host.interfaces.get(interface) or host.add_interface(interface, mac or self.new_mac(), kind)
            for host, interface, mac in ((near, near_name, near_mac), (far, far_name, far_mac))
        ]
        link = Link(self.env, name, ends[0], ends[1], self._seen, delay=delay, bandwidth=bandwidth)
        self.links[name] = link
        return link

    def disconnect(self, name: str) -> None:
        """Take a cable away; the interfaces stay."""
        self.links.pop(name).cut()

    def _seen(self, record: Record) -> None:
        for tap in self.taps:
            tap(record)

    def run(self, process: Generator[simpy.Event, Any, T]) -> T:
        """Run a program (a SimPy process) on the network until it ends; return its value."""
        return cast(T, self.env.run(until=self.env.process(process)))

    def wait(self, seconds: float) -> None:
        """Let simulated time pass."""
        self.env.run(until=self.env.now + seconds)

    def trace(self, link: str = "") -> pd.DataFrame:
        """The frames seen on one link, or on all, as a table.

        Columns: `time` in simulated seconds, `link`, `src` and `dst` (MAC addresses), `protocol`, `summary`
        in the words of tcpdump, and the length of the frame in `bytes`.
        """
        return as_table((r.time, r.link, r.frame) for r in self.records if link in ("", r.link))

    def pcap(self, link: str, since: int = 0) -> bytes:
        """A capture file of one link, which Wireshark opens; `since` leaves out that many records of all links."""
        records = (record for record in self.records[since:] if record.link == link)
        return write_pcap((record.time, record.frame) for record in records)
