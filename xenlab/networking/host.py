"""The host: a machine with interfaces, addresses and routes, as Linux sees itself; also a router, if it
forwards.

dom0 and every guest are one. What comes in on an interface is ARP or IP. An IP packet for one of the host's
own addresses goes to the protocol inside it. Any other is *forwarded*, if the host is a router
(``net.ipv4.ip_forward=1``): one is taken off its time to live, the routing table says where it goes next, and
it leaves by that interface. A host that is not a router drops it without a word.

>>> import simpy
>>> dom0 = Host(simpy.Environment(), "dom0", forwarding=True)
>>> vif = dom0.add_interface("vif1.0", "fe:ff:ff:ff:ff:ff")
>>> dom0.add_address(vif, "10.0.1.128/32")
>>> dom0.is_local("10.0.1.128"), dom0.is_local("10.0.1.1")
(True, False)

Not modelled: IPv6, fragments, ICMP redirects, broadcast and multicast IP.

Sources: Linux net/ipv4/ip_input.c, ip_forward.c, route.c (ip_route_input_slow, ip_error), icmp.c, devinet.c.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Interface

import dpkt
import simpy

from xenlab.commands import XenlabError
from xenlab.networking import frames, icmp
from xenlab.networking.bridge import AGEING_TIME, Bridge
from xenlab.networking.conntrack import ICMP, TCP, UDP, Flow
from xenlab.networking.frames import BROADCAST, ip_text, mac_text, seal
from xenlab.networking.icmp import Icmp, Transport
from xenlab.networking.link import Interface
from xenlab.networking.neighbour import Arp
from xenlab.networking.netfilter import Netfilter
from xenlab.networking.routes import Route, RouteTable
from xenlab.networking.tcp import Tcp
from xenlab.networking.udp import Udp


class Host:
    """A machine on the network.

    Arguments: `env` is the simulation, `name` the host's; `forwarding` makes it a router; `seed` fixes its
    random choices (sequence numbers, identifiers, how long a proxy waits).
    """

    def __init__(self, env: simpy.Environment, name: str, *, forwarding: bool = False, seed: int = 0) -> None:
        self.env = env
        self.name = name
        self.forwarding = forwarding
        self.rng = random.Random(f"{seed}/{name}")
        self.interfaces: dict[str, Interface] = {}
        self._own: set[str] = set()  # the addresses of all interfaces
        self.bridges: dict[str, Bridge] = {}
        self.routes = RouteTable()
        self.arp = Arp(env, self, self.rng)
        self.netfilter = Netfilter(env, self, self.rng)
        self.icmp = Icmp(self)
        self.udp = Udp(self)
        self.tcp = Tcp(env, self)
        self.transports: Mapping[int, Transport] = {ICMP: self.icmp, TCP: self.tcp, UDP: self.udp}
        self._ident = self.rng.randrange(0x10000)
        self._indices = 0
        loopback = self.add_interface("lo", frames.NO_MAC)
        loopback.addresses.append(IPv4Interface("127.0.0.1/8"))

    # --- configuration: what `ip` does ---

    def add_interface(self, name: str, mac: str, kind: str = "") -> Interface:
        """Give the host an interface; raise `XenlabError` if it has one of that name."""
        if name in self.interfaces:
            raise XenlabError(f"interface(={name!r}) exists on {self.name}: choose another name")
        self._indices += 1
        self.interfaces[name] = Interface(name, mac, self.name, receiver=self, kind=kind, index=self._indices)
        return self.interfaces[name]

    def rename_interface(self, interface: Interface, name: str) -> None:
        """Give an interface that is switched off another name."""
        del self.interfaces[interface.name]
        interface.name = name
        self.interfaces[name] = interface

    def remove_interface(self, interface: Interface) -> None:
        """Take an interface away, and with it its bridge port, addresses, routes and neighbours."""
        if interface.master:
            bridge = self.bridges[interface.master]
            bridge.remove(interface)
            if not any(port.carrier for port in bridge.ports.values()):
                self.arp.flush(bridge.device)  # it has lost its carrier (arp.c: arp_netdev_event)
        self.flush_addresses(interface)
        self.arp.flush(interface)
        del self.interfaces[interface.name]

    def add_bridge(self, name: str, *, ageing_time: float = AGEING_TIME) -> Bridge:
        """Make a bridge without ports, and the interface by which this host takes part in it."""
        mac = frames.mac_text(
            bytes([0x02, *self.rng.randbytes(5)])
        )  # locally administered, until it has ports
        self.bridges[name] = Bridge(self.env, self.add_interface(name, mac), ageing_time)
        return self.bridges[name]

    def remove_bridge(self, name: str) -> None:
        """Take a bridge away: its ports are the host's own interfaces again."""
        bridge = self.bridges.pop(name)
        for port in list(bridge.ports.values()):
            bridge.remove(port)
        self.remove_interface(bridge.device)

    def release(self, interface: Interface) -> None:
        """Take an interface off the bridge whose port it is, if it is one's."""
        if interface.master:
            self.bridges[interface.master].remove(interface)

    def add_address(self, interface: Interface, address: str) -> None:
        """Give an interface an address (``192.168.1.10/24``; without a length, ``/32``), and the route to its
        network once it is up.
        """
        with_length = IPv4Interface(address)
        interface.addresses.append(with_length)
        self._note_addresses()
        if interface.up:
            self._add_kernel_route(interface, with_length)

    def remove_address(self, interface: Interface, address: IPv4Interface) -> None:
        """Take one address off an interface, and with it the route to its network."""
        interface.addresses.remove(address)
        self.routes.drop_source(interface.name, str(address.ip))
        self._note_addresses()

    def set_up(self, interface: Interface, up: bool) -> None:
        """Switch an interface on or off: off, it loses its routes; on again, it gets back only the kernel's own."""
        if interface.up == up:
            return
        interface.up = up
        if up:
            for address in interface.addresses:
                self._add_kernel_route(interface, address)
        else:
            self.routes.drop_device(interface.name)
            self.arp.flush(interface)

    def _add_kernel_route(self, interface: Interface, address: IPv4Interface) -> None:
        if address.network.prefixlen < 32 and interface.name != "lo":
            self.routes.add(Route(address.network, interface.name, source=str(address.ip), kernel=True))

    def flush_addresses(self, interface: Interface) -> None:
        """Take all addresses off an interface, and with them its routes."""
        interface.addresses.clear()
        self.routes.drop_device(interface.name)
        self._note_addresses()

    def _note_addresses(self) -> None:
        self._own = {str(own.ip) for interface in self.interfaces.values() for own in interface.addresses}

    # --- addresses ---

    def is_local(self, ip: str) -> bool:
        """Is this an address of the host, on whatever interface?"""
        return ip in self._own or ip.startswith("127.")

    def address_on(self, interface: Interface, towards: IPv4Address | None = None) -> str:
        """The host's address on an interface, by preference on the network of `towards`; else any; else
        ``0.0.0.0``.
        """
        others = (other for other in self.interfaces.values() if other.name != "lo")
        candidates = interface.addresses or [own for other in others for own in other.addresses]
        near = [own for own in candidates if towards is not None and towards in own.network]
        return str((near or candidates or [IPv4Interface("0.0.0.0")])[0].ip)

    def source_for(self, destination: str) -> str:
        """The address from which the host would send to `destination`; ``""`` if no route leads there."""
        if self.is_local(destination):
            return destination
        route = self.routes.lookup(destination)
        if route is None:
            return ""
        towards = IPv4Address(route.gateway or destination)
        return route.source or self.address_on(self.interfaces[route.device], towards)

    def next_ident(self) -> int:
        """A fresh identification for an IP header."""
        self._ident = (self._ident + 1) % 0x10000
        return self._ident

    # --- packets in ---

    def receive(self, interface: Interface, frame: bytes) -> None:
        """Handle a frame that came in on an interface, if it is for this host."""
        if mac_text(frame[:6]) not in (interface.mac, BROADCAST):
            return
        packet = frames.payload(frame)
        if isinstance(packet, dpkt.arp.ARP):
            self.arp.receive(interface, packet, to_me_alone=mac_text(frame[:6]) == interface.mac)
        elif isinstance(packet, dpkt.ip.IP):
            self._receive_ip(interface, packet)

    def _receive_ip(self, interface: Interface, packet: dpkt.Packet) -> None:
        flow = self.netfilter.prerouting(packet, interface.name)
        if self.is_local(ip_text(packet.src)):
            return  # a "martian": nobody else may speak in our name
        if self.is_local(ip_text(packet.dst)):
            if self.netfilter.input(packet, flow, interface.name):
                self._deliver(packet)
        elif self.forwarding:
            self._forward(interface, packet, flow)

    def _deliver(self, packet: dpkt.Packet) -> None:
        if packet.p in self.transports:
            self.transports[packet.p].receive(packet)
        else:
            self.error(icmp.UNREACHABLE, icmp.PROTOCOL, packet)

    def _forward(self, interface: Interface, packet: dpkt.Packet, flow: Flow | None) -> None:
        route = self.routes.lookup(ip_text(packet.dst))
        if route is None:
            self.error(icmp.UNREACHABLE, icmp.NET, packet)
        elif packet.ttl <= 1:
            self.error(icmp.TIME_EXCEEDED, 0, packet)
        elif self.netfilter.forward(packet, flow, interface.name, route.device):
            packet.ttl -= 1
            self._emit(packet, route, flow)

    # --- packets out ---

    def send(self, packet: dpkt.Packet, *, confirmed: bool = False) -> None:
        """Send a packet of this host's own; it is lost if no route leads to its destination.

        `confirmed` says that it answers progress at the other end (TCP), which proves that the neighbour is
        there.
        """
        route = self.routes.lookup(ip_text(packet.dst))
        flow, allowed = self.netfilter.output(packet, route.device if route else "lo")
        destination = ip_text(packet.dst)  # a translation may have changed it
        if not allowed:
            return
        if self.is_local(destination):
            here = dpkt.ip.IP(seal(packet))
            self.env.timeout(0).callbacks.append(lambda _: self._deliver(here))
            return
        route = self.routes.lookup(destination)
        if route is not None:
            self._emit(packet, route, flow, confirmed=confirmed)

    def error(self, kind: int, code: int, about: dpkt.Packet) -> None:
        """Tell the sender of a packet, by ICMP, why it got no further; never about an ICMP error."""
        if isinstance(about.data, dpkt.icmp.ICMP) and about.data.type in (
            icmp.UNREACHABLE,
            icmp.TIME_EXCEEDED,
        ):
            return
        sender, destination = ip_text(about.src), ip_text(about.dst)
        source = destination if self.is_local(destination) else self.source_for(sender)
        if source:
            message = frames.icmp_error(kind, code, seal(about))
            self.send(frames.error_packet(source, sender, message, self.next_ident()))

    def unreachable(self, packet: bytes) -> None:
        """ARP found no neighbour for a packet: tell its sender that the host is unreachable."""
        self.error(icmp.UNREACHABLE, icmp.HOST, dpkt.ip.IP(packet))

    def _emit(self, packet: dpkt.Packet, route: Route, flow: Flow | None, *, confirmed: bool = False) -> None:
        self.netfilter.postrouting(packet, flow, route.device)
        next_hop = route.gateway or ip_text(packet.dst)
        self.arp.send(self.interfaces[route.device], next_hop, seal(packet), confirmed=confirmed)
