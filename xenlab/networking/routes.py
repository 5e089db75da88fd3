"""Routes: where a host sends a packet next.

A routing table maps blocks of addresses to an interface and, if the destination is not on that interface's
network, to the gateway that leads there. The most specific block that holds an address wins (*longest prefix
match*); among equals the lowest metric.

>>> table = RouteTable()
>>> table.add(Route.to("default", "eth0", gateway="192.168.1.1"))
>>> table.add(Route.to("10.0.1.1", "vif1.0", source="10.0.1.128"))
>>> table.lookup("10.0.1.1").device, table.lookup("10.0.1.2").gateway
('vif1.0', '192.168.1.1')

Source: Linux net/ipv4/fib_trie.c, fib_semantics.c.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from xenlab.commands import XenlabError


@dataclass(frozen=True)
class Route:
    """One route: packets for `destination` leave by `device`, through `gateway` or, without one, directly.

    `source` is the address that dom0's own packets get on this route; `kernel` marks the route that the
    kernel adds with an address.
    """

    destination: IPv4Network
    device: str
    gateway: str = ""
    source: str = ""
    metric: int = 0
    kernel: bool = False

    @classmethod
    def to(
        cls, destination: str, device: str, *, gateway: str = "", source: str = "", metric: int = 0
    ) -> Route:
        """A route as `ip route add` writes it: `destination` is ``default``, an address, or a network."""
        network = IPv4Network("0.0.0.0/0" if destination == "default" else destination)
        return cls(network, device, gateway, source, metric)

    def holds(self, address: int) -> bool:
        """Is an address, as a number, within the route's destination?"""
        network = self.destination
        return address & int(network.netmask) == int(network.network_address)

    @property
    def text(self) -> str:
        """The destination as `ip route` writes it: ``default``, ``10.0.1.1`` or ``192.168.1.0/24``."""
        if self.destination.prefixlen == 0:
            return "default"
        return str(self.destination.network_address if self.destination.prefixlen == 32 else self.destination)


class RouteTable:
    """The routes of one host."""

    def __init__(self) -> None:
        self._routes: list[Route] = []

    def add(self, route: Route) -> None:
        """Add a route; raise `XenlabError`, in the words of `ip route`, if there is one like it.

        The kernel's own routes are exempt: two interfaces may be on one network.
        """
        if not route.kernel and any(
            (r.destination, r.metric) == (route.destination, route.metric) for r in self._routes
        ):
            raise XenlabError("RTNETLINK answers: File exists")
        self._routes.append(route)

    def remove(self, route: Route) -> None:
        """Remove a route; raise `XenlabError`, in the words of `ip route`, if there is none like it."""
        if route not in self._routes:
            raise XenlabError("RTNETLINK answers: No such process")
        self._routes.remove(route)

    def drop_device(self, device: str) -> None:
        """Remove every route through `device`, as the kernel does when it goes down."""
        self._routes = [route for route in self._routes if route.device != device]

    def drop_source(self, device: str, source: str) -> None:
        """Remove the routes through `device` that go with its address `source`."""
        self._routes = [route for route in self._routes if (route.device, route.source) != (device, source)]

    def lookup(self, address: str) -> Route | None:
        """The route for an address, or None if no route leads there."""
        there = int(IPv4Address(address))
        fitting = [route for route in self._routes if route.holds(there)]
        return max(fitting, key=lambda route: (route.destination.prefixlen, -route.metric), default=None)

    def entries(self) -> list[Route]:
        """All routes in the order in which `ip route` prints them."""
        return sorted(
            self._routes,
            key=lambda r: (r.destination.network_address, -r.destination.prefixlen, r.metric),
        )
