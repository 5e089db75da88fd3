"""Scenarios: a network, what happens on it, and what there is to see; the ones that fail included.

Each names a topology (`build`), the steps taken on it, the outcome of each step, and a lesson. `play` runs
one:

>>> played = SCENARIOS["bridge: first a flood, then not"].play()
>>> played.outcomes
('1 of 1', '', '1 of 1')
>>> table = played.network.trace("vif3.0")  # what a bystander sees
>>> list(table["summary"])[0]
'ARP, Request who-has 192.168.1.102 tell 192.168.1.101, length 28'
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xenlab.networking import apps
from xenlab.networking.actions import Action, Datagram, Move, Ping, Request, Upload, Wait
from xenlab.networking.hotplug import unplug
from xenlab.networking.netfilter import Rule
from xenlab.networking.network import Network
from xenlab.networking.routes import Route
from xenlab.networking.topologies import (
    CLIENT,
    DOM0,
    UPLINK,
    add_guest,
    bridge,
    guest_ip,
    nat,
    routed,
    two_servers,
)

GUEST1, GUEST2 = guest_ip(1), guest_ip(2)
NAT1, NAT2 = "10.0.1.1", "10.0.2.1"


@dataclass(frozen=True)
class Played:
    """A scenario that has been played: the network, with all its frames and tables, and the outcome of each
    step.
    """

    network: Network
    outcomes: tuple[str, ...]


@dataclass(frozen=True)
class Scenario:
    """A network, what happens on it, and what there is to learn.

    `servers` are hosts that answer on TCP port 7777. `outcomes` are what the steps must lead to. `model_only`
    says why a Linux kernel without Xen cannot play it, or is empty.
    """

    name: str
    build: Callable[[], Network]
    actions: tuple[Action, ...]
    outcomes: tuple[str, ...]
    lesson: str
    servers: tuple[str, ...] = ()
    model_only: str = ""

    def play(self) -> Played:
        """Build the network, take the steps one after another, and let what was begun settle."""
        network = self.build()
        for name in self.servers:
            apps.serve(network.hosts[name], 7777)
        outcomes = tuple(network.run(action.take(network)) for action in self.actions)
        network.wait(0.3)
        return Played(network, outcomes)


def _wrong_bridge() -> Network:
    network = bridge(guests=1)
    dom0 = network.hosts["dom0"]
    dom0.add_bridge("xenbr1")
    guest = add_guest(network, dom0, 2, "bridge=xenbr1")
    guest.add_address(guest.interfaces["eth0"], f"{GUEST2}/24")
    return network


def _same_address() -> Network:
    network = bridge(guests=2)
    guest = network.hosts["guest2"]
    guest.flush_addresses(guest.interfaces["eth0"])
    guest.add_address(guest.interfaces["eth0"], f"{GUEST1}/24")
    return network


def _quick_ageing() -> Network:
    network = bridge(guests=3)
    network.hosts["dom0"].bridges["xenbr0"].table.ageing_time = 1.0
    return network


def _dead_gateway() -> Network:
    network = bridge(guests=1)
    network.hosts["guest1"].routes.add(Route.to("default", "eth0", gateway="192.168.1.1"))
    return network


def _routed_no_forwarding() -> Network:
    network = routed()
    network.hosts["dom0"].forwarding = False
    return network


def _routed_no_proxy_arp() -> Network:
    network = routed()
    network.hosts["dom0"].interfaces[UPLINK].proxy_arp = False
    return network


def _nat_no_forwarding() -> Network:
    network = nat()
    network.hosts["dom0"].forwarding = False
    return network


def _nat_port_forwarded() -> Network:
    network = nat()
    network.hosts["dom0"].netfilter.append(
        Rule("nat", "PREROUTING", "DNAT", protocol="tcp", input=UPLINK, dport=8080, to=f"{NAT1}:7777")
    )
    return network


def _nat_forward_dropped() -> Network:
    network = nat()
    network.hosts["dom0"].netfilter.policies["FORWARD"] = "DROP"
    return network


def _nat_forward_allowed() -> Network:
    network = _nat_forward_dropped()
    rules = network.hosts["dom0"].netfilter
    rules.append(Rule("filter", "FORWARD", "ACCEPT", states=("RELATED", "ESTABLISHED")))
    rules.append(Rule("filter", "FORWARD", "ACCEPT", source="10.0.0.0/16", input="vif1.0", output=UPLINK))
    return network


def _unplugged() -> Network:
    network = bridge()
    unplug(network, network.hosts["dom0"], "vif2.0")
    return network


_ALL = (
    Scenario(
        "bridge: guest to guest",
        bridge,
        (Ping("guest1", GUEST2, count=2),),
        ("2 of 2",),
        "The request for an address goes to everybody, also out of the server; all that follows goes to "
        "one port.",
    ),
    Scenario(
        "bridge: guest to the LAN",
        bridge,
        (Ping("guest1", CLIENT), Request("client", GUEST1)),
        ("1 of 1", "connected"),
        "The guest is a machine on the LAN like any other; dom0 only passes frames on, unchanged.",
        servers=("guest1",),
    ),
    Scenario(
        "bridge: dom0 takes part",
        bridge,
        (Ping("dom0", GUEST1), Ping("guest1", DOM0)),
        ("1 of 1", "1 of 1"),
        "The bridge is an interface of dom0 too; its address is that of lan0, the lowest among its ports.",
    ),
    Scenario(
        "bridge: a closed port",
        bridge,
        (Request("guest1", GUEST2), Datagram("guest1", GUEST2)),
        ("Connection refused", "Connection refused"),
        "The guest is there, its program is not: TCP answers RST, UDP has ICMP say that the port is "
        "unreachable.",
    ),
    Scenario(
        "bridge: the wrong bridge",
        _wrong_bridge,
        (Ping("guest1", GUEST2, timeout=4.0),),
        ("Destination Host Unreachable",),
        "Two bridges are two networks. Three questions, a second apart, reach nobody who knows the answer.",
    ),
    Scenario(
        "bridge: no cable",
        _unplugged,
        (Ping("guest1", GUEST2, timeout=4.0),),
        ("Destination Host Unreachable",),
        "A guest without its vif is as silent as one that does not exist; ARP cannot tell the difference.",
    ),
    Scenario(
        "bridge: one address twice",
        _same_address,
        (Ping("client", GUEST1), Request("client", GUEST1)),
        ("1 of 1", "connected"),
        "Both guests answer for the address; the first answer counts, the second, within a second, is "
        "ignored.",
        servers=("guest1",),
        model_only="which of the two guests answers first is a race on a real machine",
    ),
    Scenario(
        "bridge: first a flood, then not",
        _quick_ageing,
        (Ping("guest1", GUEST2), Wait(2.5), Ping("guest1", GUEST2)),
        ("1 of 1", "", "1 of 1"),
        "The bridge forgot where guest2 lives (here after 1 s): the second request floods every port, its "
        "answer does not.",
    ),
    Scenario(
        "bridge: an old neighbour",
        bridge,
        (Ping("guest1", GUEST2), Wait(6.5)),
        ("1 of 1", ""),
        "Five seconds after guest2 first used what it learnt from a question, it asks guest1 directly "
        "whether it is still so.",
    ),
    Scenario(
        "bridge: no gateway",
        bridge,
        (Ping("guest1", "203.0.113.80"),),
        ("Network is unreachable",),
        "Without a route no packet leaves: not one frame on any link.",
    ),
    Scenario(
        "bridge: a gateway that is not there",
        _dead_gateway,
        (Ping("guest1", "203.0.113.80", timeout=4.0),),
        ("Destination Host Unreachable",),
        "The packet is for 203.0.113.80, the question for the gateway's address: ARP knows only the next "
        "hop.",
    ),
    Scenario(
        "bridge: rate=16Mb/s",
        lambda: bridge(guests=2, options="rate=16Mb/s"),
        (Upload("guest1", CLIENT, 300_000), Upload("client", GUEST1, 300_000)),
        ("1.92 MB/s", "109.41 MB/s"),
        "netback holds back what the guest sends, not what it gets; and it gives 50/52 of the rate it was "
        "told.",
        model_only="the limit is netback's, and netback needs Xen",
    ),
    Scenario(
        "bridge: migrated",
        two_servers,
        (Ping("client", GUEST1), Move("guest1", "dom0-a", "dom0-b", 2), Ping("client", GUEST1)),
        ("1 of 1", "", "1 of 1"),
        "The guest's gratuitous ARP tells the switch, and every bridge, behind which port it lives now.",
    ),
    Scenario(
        "bridge: migrated in silence",
        two_servers,
        (
            Ping("client", GUEST1),
            Move("guest1", "dom0-a", "dom0-b", 2, announce=False),
            Ping("client", GUEST1),
            Ping("guest1", CLIENT),
            Ping("client", GUEST1),
        ),
        ("1 of 1", "", "0 of 1", "1 of 1", "1 of 1"),
        "Without an announcement the switch sends to the old server, until the guest itself says something.",
    ),
    Scenario(
        "route: guest to the LAN",
        routed,
        (Ping("guest1", CLIENT, timeout=2.5), Request("client", GUEST1)),
        ("1 of 1", "connected"),
        "Each side asks for the other's address and gets dom0's; the first answer takes up to 0.8 s. TTL "
        "falls by one.",
        servers=("guest1",),
    ),
    Scenario(
        "route: guest to guest",
        routed,
        (Ping("guest1", GUEST2),),
        ("1 of 1",),
        "Two guests on one server meet only through dom0's routes; no frame of one ever reaches the other.",
    ),
    Scenario(
        "route: no forwarding",
        _routed_no_forwarding,
        (Ping("guest1", CLIENT, timeout=4.0), Ping("guest1", DOM0)),
        ("Destination Host Unreachable", "1 of 1"),
        "A host that does not forward does not answer ARP for others either, whatever proxy_arp says.",
    ),
    Scenario(
        "route: no proxy ARP on lan0",
        _routed_no_proxy_arp,
        (Ping("client", GUEST1, timeout=4.0), Ping("guest1", CLIENT)),
        ("Destination Host Unreachable", "0 of 1"),
        "vif-route turns proxy ARP on for the vif, not for lan0: packets get out, the answers do not find "
        "back.",
    ),
    Scenario(
        "nat: guest to the LAN",
        nat,
        (Ping("guest1", CLIENT), Request("guest1", CLIENT)),
        ("1 of 1", "connected"),
        "On the vif the packet comes from 10.0.1.1, on the cable from dom0; the client never hears of the "
        "guest.",
        servers=("client",),
    ),
    Scenario(
        "nat: guest to guest",
        nat,
        (Ping("guest1", NAT2),),
        ("1 of 1",),
        "The /16 makes all guests neighbours in each other's eyes; dom0 answers ARP for them and routes, "
        "untranslated.",
    ),
    Scenario(
        "nat: no masquerading",
        lambda: nat(masquerade=False),
        (Ping("guest1", CLIENT),),
        ("0 of 1",),
        "vif-nat alone translates nothing: the client gets a packet from 10.0.1.1 and knows no way back.",
    ),
    Scenario(
        "nat: no forwarding",
        _nat_no_forwarding,
        (Ping("guest1", CLIENT), Ping("guest1", "10.0.1.128")),
        ("0 of 1", "1 of 1"),
        "dom0 answers for itself and drops what is for others, without a word.",
    ),
    Scenario(
        "nat: from outside",
        nat,
        (Request("client", DOM0, port=8080),),
        ("Connection refused",),
        "Nobody outside can name the guest. The client can only ask dom0, and dom0 has nobody at that port.",
        servers=("guest1",),
    ),
    Scenario(
        "nat: port forwarding",
        _nat_port_forwarded,
        (Request("client", DOM0, port=8080),),
        ("connected",),
        "DNAT on the way in, and the same conversation undone on the way out: the client believes it talks "
        "to dom0.",
        servers=("guest1",),
    ),
    Scenario(
        "nat: one port for two",
        nat,
        (Ping("guest1", CLIENT, ident=7), Ping("guest2", CLIENT, ident=7)),
        ("1 of 1", "1 of 1"),
        "Both guests use one identifier; on the cable the second gets another, or their answers could not "
        "be told apart.",
    ),
    Scenario(
        "nat: nobody there",
        nat,
        (Ping("guest1", "192.168.1.99", timeout=4.0),),
        ("Destination Host Unreachable",),
        "dom0 finds no neighbour; its error is about a translated packet, and is translated back for the "
        "guest.",
    ),
    Scenario(
        "nat: FORWARD dropped",
        _nat_forward_dropped,
        (Ping("guest1", CLIENT), Ping("dom0", NAT1)),
        ("0 of 1", "1 of 1"),
        "A policy of DROP on FORWARD (container engines set it) cuts the guests off, but not dom0's own "
        "packets.",
    ),
    Scenario(
        "nat: FORWARD allowed by state",
        _nat_forward_allowed,
        (Ping("guest1", CLIENT), Ping("guest2", CLIENT)),
        ("1 of 1", "0 of 1"),
        "One rule for answers, one for guest1's own packets: guest2 has none.",
    ),
)

#: All scenarios by name.
SCENARIOS: dict[str, Scenario] = {scenario.name: scenario for scenario in _ALL}
