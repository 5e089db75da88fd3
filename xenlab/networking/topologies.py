"""Three ways to join guests to a network, built as Xen's scripts build them, and a pair of servers to move
between.

In all of them dom0 has a network card ``lan0`` whose cable leads to a machine called ``client``, on the LAN
192.168.1.0/24 (its ``eth0``, by which you reach it, is left alone):

* `bridge`: the guests are machines on that LAN (192.168.1.101, .102 …), through the bridge ``xenbr0`` in
  dom0.
* `routed`: the guests have addresses of that LAN too, but dom0 is a router between them and it, and answers
  ARP for them.
* `nat`: the guests have private addresses (10.0.<domain id>.1), and dom0 lends them its own.

>>> [link for link in bridge(guests=2).links]
['lan0', 'vif1.0', 'vif2.0']
>>> [str(a) for a in nat().hosts["guest1"].interfaces["eth0"].addresses]
['10.0.1.1/16']

Guest n has domain id n. A network made here can be changed before it is used; that is how `scenarios` breaks
them.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import simpy

from xenlab.networking.host import Host
from xenlab.networking.hotplug import nat_addresses, plug, unplug
from xenlab.networking.netfilter import Rule
from xenlab.networking.network import Network
from xenlab.networking.routes import Route
from xenlab.networking.vifspec import read_config

DOM0, CLIENT = "192.168.1.10", "192.168.1.50"
#: dom0's card on the LAN.
UPLINK = "lan0"
_GIGABIT: dict[str, Any] = {"delay": 50e-6, "bandwidth": 1e9}

#: The rule an administrator adds to vif-nat, so that answers find their way back.
MASQUERADE = Rule("nat", "POSTROUTING", "MASQUERADE", source="10.0.0.0/16", output=UPLINK)


def guest_ip(number: int) -> str:
    """The LAN address of guest `number`."""
    return f"192.168.1.{100 + number}"


def guest_mac(number: int) -> str:
    """The MAC address of guest `number`, under Xen's prefix 00:16:3e."""
    return f"00:16:3e:00:00:{number:02x}"


def bridge(guests: int = 2, *, options: str = "", seed: int = 0) -> Network:
    """Guests on the LAN, through a bridge in dom0 of which ``lan0`` and every vif are ports (vif-bridge).

    `options` is added to every guest's vif string, as ``rate=16Mb/s``.
    """
    network = Network(seed)
    dom0 = network.add_host("dom0")
    _client(network, dom0)
    _bridge_card(dom0, DOM0)
    for number in range(1, guests + 1):
        guest = add_guest(network, dom0, number, f"bridge=xenbr0,{options}")
        guest.add_address(guest.interfaces["eth0"], f"{guest_ip(number)}/24")
    return network


def routed(guests: int = 2, *, seed: int = 0) -> Network:
    """Guests behind dom0 as a router that speaks for them on the LAN (vif-route, forwarding, proxy ARP on
    ``lan0``).
    """
    network = Network(seed)
    dom0 = network.add_host("dom0", forwarding=True)
    _client(network, dom0)
    uplink = dom0.interfaces[UPLINK]
    dom0.add_address(uplink, f"{DOM0}/24")
    uplink.proxy_arp = True
    for number in range(1, guests + 1):
        guest = add_guest(
            network, dom0, number, f"script=vif-route,ip={guest_ip(number)},gatewaydev={UPLINK}"
        )
        guest.add_address(guest.interfaces["eth0"], f"{guest_ip(number)}/24")
        guest.routes.add(Route.to("default", "eth0", gateway=DOM0))
    return network


def nat(guests: int = 2, *, masquerade: bool = True, seed: int = 0) -> Network:
    """Guests with private addresses behind dom0 (vif-nat, forwarding and, unless refused, `MASQUERADE`)."""
    network = Network(seed)
    dom0 = network.add_host("dom0", forwarding=True)
    _client(network, dom0)
    dom0.add_address(dom0.interfaces[UPLINK], f"{DOM0}/24")
    if masquerade:
        dom0.netfilter.append(MASQUERADE)
    for number in range(1, guests + 1):
        guest = add_guest(network, dom0, number, "script=vif-nat")
        addresses = nat_addresses(number, devid=0)
        guest.add_address(guest.interfaces["eth0"], addresses.prefix)
        guest.routes.add(Route.to("default", "eth0", gateway=addresses.router))
    return network


def two_servers(*, seed: int = 0) -> Network:
    """Two servers ``dom0-a`` and ``dom0-b`` and the client on one switch; ``guest1`` runs on the first (see
    `migrate`).
    """
    network = Network(seed)
    switch = network.add_host("switch")
    fabric = switch.add_bridge("fabric")
    for port, name in enumerate(("dom0-a", "dom0-b", "client"), start=1):
        card = "eth0" if name == "client" else UPLINK
        link = network.connect(network.add_host(name), card, switch, f"port{port}", name=name, **_GIGABIT)
        fabric.add(link.far)
    _bridge_card(network.hosts["dom0-a"], "192.168.1.10")
    _bridge_card(network.hosts["dom0-b"], "192.168.1.11")
    client = network.hosts["client"]
    client.add_address(client.interfaces["eth0"], f"{CLIENT}/24")
    guest = add_guest(network, network.hosts["dom0-a"], 1, "bridge=xenbr0")
    guest.add_address(guest.interfaces["eth0"], f"{guest_ip(1)}/24")
    return network


def migrate(
    network: Network,
    guest: Host,
    source: Host,
    target: Host,
    domid: int,
    *,
    downtime: float = 0.0,
    announce: bool = True,
) -> Generator[simpy.Event, Any, None]:
    """Move a guest's vif to another server, where the guest is domain `domid`; a process on the network's clock.

    For `downtime` simulated seconds it is on neither. Its kernel, and so its address, routes and connections, come
    along; its neighbours it forgets, because its card lost the carrier (arp.c: arp_netdev_event). As Linux's netfront
    does when it is connected again (netdev_notify_peers), it announces its address by a gratuitous ARP, unless told
    not to.
    """
    card = guest.interfaces["eth0"]
    old = next(link.name for link in network.links.values() if link.far is card)
    unplug(network, source, old)
    guest.arp.flush(card)
    yield network.env.timeout(downtime)
    spec, _ = read_config(f"mac={card.mac},bridge=xenbr0")
    plug(network, target, guest, domid, spec)
    if announce:
        guest.arp.announce(card)


def add_guest(network: Network, dom0: Host, number: int, vif: str) -> Host:
    """Add ``guest<number>`` as domain `number`, with one interface made from a vif string; it has no address
    yet.
    """
    guest = network.add_host(f"guest{number}")
    spec, _ = read_config(f"mac={guest_mac(number)},{vif}")
    plug(network, dom0, guest, number, spec)
    return guest


def _bridge_card(dom0: Host, address: str) -> None:
    """Make dom0's bridge ``xenbr0`` with lan0 as its first port; dom0's address is on the bridge."""
    bridge = dom0.add_bridge("xenbr0")
    bridge.add(dom0.interfaces[UPLINK])
    dom0.add_address(bridge.device, f"{address}/24")


def _client(network: Network, dom0: Host) -> None:
    """The client, at the other end of the cable in dom0's lan0."""
    client = network.add_host("client")
    link = network.connect(dom0, UPLINK, client, "eth0", name=UPLINK, **_GIGABIT)
    client.add_address(link.far, f"{CLIENT}/24")
