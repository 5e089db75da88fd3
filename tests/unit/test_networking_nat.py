"""Address translation: every answer finds the guest that asked, no two conversations look alike outside."""

from __future__ import annotations

import dpkt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenlab.networking.apps import datagram, ping, request, serve
from xenlab.networking.conntrack import tuple_of
from xenlab.networking.frames import ip_text, payload
from xenlab.networking.netfilter import Rule
from xenlab.networking.network import Network
from xenlab.networking.scenarios import SCENARIOS
from xenlab.networking.topologies import CLIENT, DOM0, nat

flows = st.lists(
    st.tuples(st.sampled_from(["guest1", "guest2", "guest3"]), st.integers(4000, 4002), st.integers(53, 54)),
    min_size=1,
    max_size=12,
    unique=True,
)


@settings(max_examples=20)
@given(flows)
def test_every_answer_finds_the_guest_that_asked_and_outside_no_two_conversations_look_alike(
    asked: list[tuple[str, int, int]],
) -> None:
    network = nat(guests=3)
    client = network.hosts["client"]
    for port in (53, 54):  # the client answers each datagram with where it seemed to come from
        client.udp.bind(
            port, lambda ip, sport, data, port=port: client.udp.send(port, ip, sport, data + b"!")
        )  # type: ignore[misc]
    heard: list[tuple[str, int, bytes]] = []
    for name, port, target in asked:
        guest = network.hosts[name]
        guest.udp.bind(port, lambda _ip, sport, data, name=name: heard.append((name, sport, data)))  # type: ignore[misc]
        guest.udp.send(port, CLIENT, target, f"{name} {port}".encode())
    network.wait(2.0)
    assert sorted(heard) == sorted((name, target, f"{name} {port}!".encode()) for name, port, target in asked)
    packets = [payload(record.frame) for record in network.records if record.link == "lan0"]
    outside = [
        tuple_of(packet) for packet in packets if isinstance(packet, dpkt.ip.IP) and packet.dst[-1] == 50
    ]
    assert len(set(outside)) == len(outside) == len(asked)
    assert {each.source for each in outside if each} == {DOM0}


def seen_by_client(network: Network) -> set[str]:
    return {
        ip_text(r.frame[26:30])
        for r in network.records
        if r.receiver == "client" and r.frame[12:14] == b"\x08\x00"
    }


def test_a_port_is_kept_if_it_can_be() -> None:
    network = nat(guests=2)
    serve(network.hosts["client"], 80)
    network.run(request(network.hosts["guest1"], CLIENT, 80, b"", local_port=40001))
    entry = next(network.hosts["dom0"].netfilter.conntrack.entries())
    assert (entry.original.sport, entry.reply.dport) == (40001, 40001)
    assert seen_by_client(network) == {DOM0}


def test_a_conversation_goes_through_tcps_states_and_is_forgotten() -> None:
    network = nat(guests=1)
    guest, client = network.hosts["guest1"], network.hosts["client"]
    conntrack = network.hosts["dom0"].netfilter.conntrack
    serve(client, 80)
    states = []

    def watch() -> None:
        states.append([entry.state for entry in conntrack.entries()])

    connection = guest.tcp.connect(CLIENT, 80)
    network.wait(1e-3)
    watch()
    network.wait(0.1)
    connection.close()
    network.wait(0.1)
    watch()
    network.wait(121.0)
    watch()
    assert states == [["ESTABLISHED"], ["TIME_WAIT"], []]


def test_an_answer_that_comes_too_late_finds_nobody() -> None:
    network = nat(guests=1)
    guest, client = network.hosts["guest1"], network.hosts["client"]
    guest.udp.bind(4000, lambda *_: pytest.fail("it was forgotten"))
    came_from: list[tuple[str, int]] = []
    client.udp.bind(53, lambda ip, port, _data: came_from.append((ip, port)))
    guest.udp.send(4000, CLIENT, 53, b"?")
    network.wait(31.0)  # UDP without an answer is remembered for 30 s
    client.udp.send(53, *came_from[0], b"!")
    network.wait(1.0)
    assert client.udp.error_of(53) == "Connection refused"  # by dom0, who has nobody at that port


def test_an_error_from_the_other_end_is_translated_back_inside_and_out() -> None:
    network = nat(guests=1)
    assert network.run(datagram(network.hosts["guest1"], CLIENT, 9999, b"?")) == "Connection refused"
    error = payload(network.records[-1].frame)
    assert network.records[-1].receiver == "guest1"
    assert (ip_text(error.src), ip_text(error.dst)) == (CLIENT, "10.0.1.1")
    quoted = error.data.data.data
    assert (ip_text(quoted.src), ip_text(quoted.dst)) == ("10.0.1.1", CLIENT)


def test_behind_port_forwarding_an_error_seems_to_come_from_dom0() -> None:
    network = nat(guests=1)
    network.hosts["dom0"].netfilter.append(
        Rule("nat", "PREROUTING", "DNAT", protocol="udp", input="lan0", dport=53, to="10.0.1.1:5353")
    )
    assert network.run(datagram(network.hosts["client"], DOM0, 53, b"?")) == "Connection refused"
    assert seen_by_client(network) == {DOM0}


def test_a_routers_error_about_a_translated_packet_keeps_the_routers_name() -> None:
    network = SCENARIOS["nat: nobody there"].play().network
    error = payload(network.records[-1].frame)
    assert (ip_text(error.src), ip_text(error.dst)) == (DOM0, "10.0.1.1")
    assert ip_text(error.data.data.data.src) == "10.0.1.1"


def test_a_refused_connection_is_forgotten_at_once() -> None:
    network = nat(guests=1)
    assert network.run(request(network.hosts["guest1"], CLIENT, 80, b"")).outcome == "Connection refused"
    assert list(network.hosts["dom0"].netfilter.conntrack.entries()) == []


def test_what_the_client_begins_is_not_let_in_by_masquerading() -> None:
    network = SCENARIOS["nat: from outside"].play().network
    assert {record.link for record in network.records} == {"lan0"}


def test_only_the_first_packet_of_a_conversation_meets_a_translating_rule() -> None:
    network = nat(guests=1)
    network.run(ping(network.hosts["guest1"], CLIENT, count=3))
    ((_, counter),) = network.hosts["dom0"].netfilter.rules
    assert (counter.packets, counter.bytes) == (1, 84)


def test_a_dropped_first_packet_is_not_remembered() -> None:
    network = nat(guests=1)
    rules = network.hosts["dom0"].netfilter
    rules.append(Rule("filter", "FORWARD", "DROP", protocol="icmp"))
    assert network.run(ping(network.hosts["guest1"], CLIENT, timeout=0.5)).outcome == "0 of 1"
    assert list(rules.conntrack.entries()) == []


@pytest.mark.parametrize(
    ("rule", "command"),
    [
        (Rule("filter", "FORWARD", "DROP", protocol="udp", dport=53),
         "iptables -t filter -A FORWARD -p udp -m udp --dport 53 -j DROP"),
        (Rule("nat", "PREROUTING", "DNAT", protocol="tcp", input="eth0", dport=8080, to="10.0.1.1:80"),
         "iptables -t nat -A PREROUTING -i eth0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.0.1.1:80"),
        (Rule("filter", "FORWARD", "ACCEPT", states=("RELATED", "ESTABLISHED")),
         "iptables -t filter -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
    ],
)  # fmt: skip
def test_a_rule_knows_the_command_that_adds_it(rule: Rule, command: str) -> None:
    assert rule.command == command
