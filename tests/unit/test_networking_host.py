"""Hosts and routers: what they forward, answer, refuse and keep silent about."""

from __future__ import annotations

from itertools import pairwise

import dpkt
import pytest

from xenlab.commands import XenlabError
from xenlab.networking import frames
from xenlab.networking.apps import datagram, ping
from xenlab.networking.host import Host
from xenlab.networking.network import Network
from xenlab.networking.routes import Route

HERE, THERE = "10.0.0.1", "10.2.0.1"


def chain(routers: int = 2) -> Network:
    """A host, routers in a row, a host: networks 10.0.0.0/24, 10.1.0.0/24 …; every router knows all of them."""
    network = Network()
    names = ["here", *[f"router{number}" for number in range(1, routers + 1)], "there"]
    hosts = [network.add_host(name, forwarding=name.startswith("router")) for name in names]
    for number, (near, far) in enumerate(pairwise(hosts)):
        left, right = f"eth{int(near.forwarding)}", "eth0"
        network.connect(near, left, far, right, name=f"link{number}")
        near.add_address(near.interfaces[left], f"10.{number}.0.{1 if number == 0 else 253}/24")
        far.add_address(far.interfaces[right], f"10.{number}.0.{1 if far is hosts[-1] else 254}/24")
    hosts[0].routes.add(Route.to("default", "eth0", gateway="10.0.0.254"))
    hosts[-1].routes.add(Route.to("default", "eth0", gateway=f"10.{routers}.0.253"))
    for position in range(1, routers + 1):
        for target in range(routers + 1):
            if target < position - 1:
                hosts[position].routes.add(
                    Route.to(f"10.{target}.0.0/24", "eth0", gateway=f"10.{position - 1}.0.253")
                )
            elif target > position:
                hosts[position].routes.add(
                    Route.to(f"10.{target}.0.0/24", "eth1", gateway=f"10.{position}.0.254")
                )
    return network


def send_echo(host: Host, target: str, ttl: int) -> None:
    source = host.source_for(target)
    host.send(frames.ipv4(source, target, frames.echo(8, 9, 1, b"x"), ttl=ttl))


def test_each_router_takes_one_off_the_time_to_live() -> None:
    network = chain(routers=2)
    pinged = network.run(ping(network.hosts["here"], THERE))
    assert [answer.ttl for answer, _ in pinged.answers] == [62]
    ttls = [
        dpkt.ip.IP(record.frame[14:]).ttl
        for record in network.records
        if record.frame[12:14] == b"\x08\x00" and record.receiver in ("router1", "router2", "there")
    ]
    assert ttls[:3] == [64, 63, 62]


def test_a_packet_whose_time_is_up_comes_back_as_an_error_from_where_it_died() -> None:
    network = chain(routers=2)
    here = network.hosts["here"]
    sources = []
    here.icmp.listen(9, lambda answer: sources.append((answer.source, answer.trouble is not None)))
    for ttl in (1, 2, 3):  # how traceroute works
        send_echo(here, THERE, ttl)
        network.wait(0.1)
    assert sources == [("10.0.0.254", True), ("10.1.0.254", True), (THERE, False)]


def test_a_router_without_a_route_says_so() -> None:
    network = chain(routers=1)
    assert network.run(ping(network.hosts["here"], "172.16.0.1")).outcome == "Destination Net Unreachable"


def test_a_host_that_does_not_forward_says_nothing() -> None:
    network = chain(routers=1)
    network.hosts["router1"].forwarding = False
    assert network.run(ping(network.hosts["here"], "10.1.0.1", timeout=1.0)).outcome == "0 of 1"
    assert {record.link for record in network.records} == {"link0"}


def test_a_host_answers_for_all_its_addresses_on_any_interface() -> None:
    network = chain(routers=1)
    assert network.run(ping(network.hosts["here"], "10.1.0.253")).received == 1


def test_nobody_else_may_speak_in_a_hosts_own_name() -> None:
    network = chain(routers=1)
    card, router = network.hosts["here"].interfaces["eth0"], network.hosts["router1"]
    heard: list[str] = []
    router.udp.bind(53, lambda source, *_: heard.append(source))
    for source in ("10.0.0.254", HERE):
        packet = frames.ipv4(source, "10.0.0.254", frames.udp(4000, 53, b"?"))
        card.send(frames.ethernet(card.mac, router.interfaces["eth0"].mac, packet))
    network.wait(0.1)
    assert heard == [HERE]


def test_a_host_reaches_itself_without_a_frame() -> None:
    network = chain(routers=1)
    assert network.run(ping(network.hosts["here"], HERE)).received == 1
    assert network.run(ping(network.hosts["here"], "127.0.0.1")).received == 1
    assert network.records == []


def test_there_is_no_error_about_an_error() -> None:
    network = chain(routers=1)
    here = network.hosts["here"]
    about = bytes(frames.ipv4(HERE, THERE, frames.udp(1, 2, b"")))
    here.send(frames.ipv4(HERE, "172.16.0.1", frames.icmp_error(3, 3, about)))
    network.wait(1.0)
    assert [record for record in network.records if record.receiver == "here" and record.frame[23] == 1] == []


def test_a_protocol_that_nobody_speaks_is_unreachable() -> None:
    network = chain(routers=1)
    here = network.hosts["here"]
    here.send(dpkt.ip.IP(src=frames.ip_bytes(HERE), dst=frames.ip_bytes("10.0.0.254"), p=47, data=b"gre"))
    network.wait(0.1)
    error = frames.payload(network.records[-1].frame).data
    assert (error.type, error.code) == (3, 2)


def test_a_datagram_to_a_closed_port_is_refused_and_to_an_open_one_taken() -> None:
    network = chain(routers=1)
    here, router = network.hosts["here"], network.hosts["router1"]
    assert network.run(datagram(here, "10.0.0.254", 53, b"?")) == "Connection refused"
    heard: list[tuple[str, int, bytes]] = []
    router.udp.bind(53, lambda *what: heard.append(what))
    assert network.run(datagram(here, "10.0.0.254", 53, b"?", local_port=4444)) == "sent"
    assert heard == [(HERE, 4444, b"?")]


def test_an_interface_name_is_taken_once() -> None:
    host = Network().add_host("dom0")
    host.add_interface("eth0", "02:00:00:00:00:01")
    with pytest.raises(XenlabError, match=r"interface\(='eth0'\) exists on dom0: choose another name"):
        host.add_interface("eth0", "02:00:00:00:00:02")
