"""The vif scripts: what they derive, what they set up, and how they fail."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenlab.networking.apps import ping
from xenlab.networking.bridge import VIF_MAC
from xenlab.networking.host import Host
from xenlab.networking.hotplug import HotplugError, nat_addresses, plug, unplug
from xenlab.networking.network import Network
from xenlab.networking.topologies import DOM0, bridge, guest_ip, nat, routed
from xenlab.networking.vifspec import read_config


def dom0_and_guest() -> tuple[Network, Host, Host]:
    network = Network()
    dom0, guest = network.add_host("dom0"), network.add_host("guest1")
    network.connect(dom0, "eth0", network.add_host("client"), "eth0", name="eth0")
    return network, dom0, guest


def attach(vif: str, domid: int = 1) -> tuple[Network, Host]:
    network, dom0, guest = dom0_and_guest()
    dom0.add_address(dom0.interfaces["eth0"], f"{DOM0}/24")
    plug(network, dom0, guest, domid, read_config(vif)[0])
    return network, dom0


@pytest.mark.parametrize(
    ("domid", "devid", "ip", "guest", "router", "hostname"),
    [
        (5, 0, "", "10.0.5.1", "10.0.5.128", "dom5"),
        (5, 1, "", "10.0.5.2", "10.0.5.129", "dom5-2"),
        (256, 0, "", "10.1.0.1", "10.1.0.128", "dom256"),
        (5, 0, "10.9.8.7/24", "10.9.8.7", "10.9.8.134", "dom5"),
    ],
)
def test_vif_nat_derives_addresses_from_the_domain_id(
    domid: int, devid: int, ip: str, guest: str, router: str, hostname: str
) -> None:
    addresses = nat_addresses(domid, devid, ip)
    assert (addresses.guest, addresses.router, addresses.hostname) == (guest, router, hostname)


@given(st.integers(1, 32751), st.integers(0, 3), st.integers(1, 32751), st.integers(0, 3))
def test_no_two_vifs_share_a_derived_address(
    domid: int, devid: int, other_domid: int, other_devid: int
) -> None:
    one, other = nat_addresses(domid, devid), nat_addresses(other_domid, other_devid)
    if (domid, devid) != (other_domid, other_devid):
        assert len({one.guest, one.router, other.guest, other.router}) == 4
    assert IPv4Address(one.guest) < IPv4Address(one.router)


def test_vif_bridge_makes_the_vif_a_port() -> None:
    network = bridge(guests=2)
    dom0 = network.hosts["dom0"]
    assert list(dom0.bridges["xenbr0"].ports) == ["lan0", "vif1.0", "vif2.0"]
    assert dom0.interfaces["vif1.0"].mac == VIF_MAC
    assert not dom0.interfaces["vif1.0"].addresses


def test_vif_route_gives_the_vif_the_main_address_a_route_and_proxy_arp() -> None:
    dom0 = routed(guests=1).hosts["dom0"]
    vif = dom0.interfaces["vif1.0"]
    assert [str(address) for address in vif.addresses] == [f"{DOM0}/32"]
    assert vif.proxy_arp
    route = dom0.routes.lookup(guest_ip(1))
    assert route is not None
    assert (route.device, route.source, route.metric) == ("vif1.0", DOM0, 2)


def test_vif_route_adds_a_route_for_each_address() -> None:
    _, dom0 = attach("script=vif-route,ip=192.168.1.101 10.1.0.0/16")
    assert [route.text for route in dom0.routes.entries() if route.device == "vif1.0"] == [
        "10.1.0.0/16",
        "192.168.1.101",
    ]


def test_vif_nat_gives_the_vif_the_routers_address() -> None:
    dom0 = nat(guests=1).hosts["dom0"]
    vif = dom0.interfaces["vif1.0"]
    assert [str(address) for address in vif.addresses] == ["10.0.1.128/32"]
    assert vif.proxy_arp
    route = dom0.routes.lookup("10.0.1.1")
    assert route is not None
    assert (route.device, route.source) == ("vif1.0", "10.0.1.128")


def test_no_script_turns_on_forwarding() -> None:
    _, dom0 = attach("script=vif-nat")
    assert not dom0.forwarding


@pytest.mark.parametrize(
    ("vif", "message"),
    [
        ("bridge=xenbr7", r"^Could not find bridge device xenbr7$"),
        ("script=vif-nat,ip=10.0.5.200", r"^ip addr add 10\.0\.5\.327 dev vif1\.0 failed$"),
        ("script=vif-route,gatewaydev=eth7", r"^/etc/xen/scripts/vif-route failed; error detected\.$"),
        ("script=vif-openvswitch", r"^script\(='vif-openvswitch'\) must be vif-bridge, vif-route or vif-nat"),
    ],
)
def test_a_script_that_fails_leaves_nothing_behind(vif: str, message: str) -> None:
    network, dom0, guest = dom0_and_guest()
    before = list(dom0.interfaces), list(network.links), dom0.routes.entries()
    with pytest.raises(HotplugError, match=message):
        plug(network, dom0, guest, 1, read_config(vif)[0])
    assert (list(dom0.interfaces), list(network.links), dom0.routes.entries()) == before


def test_an_old_configuration_that_says_xenbr0_finds_a_bridge_called_eth0() -> None:
    network = Network()
    dom0, guest = network.add_host("dom0"), network.add_host("guest1")
    dom0.add_bridge("eth0")
    plug(network, dom0, guest, 1, read_config("bridge=xenbr0")[0])
    assert list(dom0.bridges["eth0"].ports) == ["vif1.0"]


def test_a_rate_holds_back_the_guest_and_not_what_is_sent_to_it() -> None:
    network = bridge(guests=1, options="rate=16Kb/s")
    shaper = network.links["vif1.0"].shaper
    assert shaper is not None
    assert (shaper.credit.bytes_per_interval, shaper.credit.interval_usec) == (100, 50_000)
    slow = network.run(ping(network.hosts["guest1"], guest_ip(1), timeout=1.0))
    assert slow.received == 1  # to itself: never on the vif
    answered = network.run(ping(network.hosts["client"], guest_ip(1), timeout=2.0))
    assert answered.times[0] > 0.05  # the reply, 98 bytes, waits; the ARP reply took the credit


def test_a_guest_that_is_unplugged_takes_its_routes_and_neighbours_with_it() -> None:
    network = nat(guests=2)
    dom0 = network.hosts["dom0"]
    network.run(ping(dom0, "10.0.1.1"))
    unplug(network, dom0, "vif1.0")
    assert "vif1.0" not in dom0.interfaces
    assert not dom0.arp.entries()
    assert [route.device for route in dom0.routes.entries()] == ["vif2.0", "lan0"]
    assert network.run(ping(dom0, "10.0.2.1")).received == 1
