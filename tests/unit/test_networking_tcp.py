"""TCP: every byte arrives, once and in order, whatever the wire loses; and the ways in which connecting fails."""

from __future__ import annotations

import random
from collections.abc import Generator
from typing import Any

import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from xenlab.networking.apps import request, serve, upload
from xenlab.networking.dissect import protocol
from xenlab.networking.network import Network
from xenlab.networking.routes import Route
from xenlab.networking.tcp import Connection, State
from xenlab.networking.topologies import CLIENT, bridge, guest_ip, migrate, two_servers


def lossy(network: Network, link: str, lose: float, seed: int) -> None:
    """Make a link lose TCP segments, each with probability `lose`."""
    cable, rng = network.links[link], random.Random(seed)
    carry = cable.carry

    def maybe(sender: Any, frame: bytes) -> None:
        if protocol(frame) != "TCP" or rng.random() >= lose:
            carry(sender, frame)

    cable.carry = maybe  # type: ignore[method-assign]


def transfer(network: Network, data: bytes, cuts: list[int]) -> bytes:
    """Send data from guest1 to guest2 in pieces, and return what guest2 read."""
    got = bytearray()

    def reader(connection: Connection) -> Generator[simpy.Event, Any, None]:
        while piece := (yield connection.read()):
            got.extend(piece)
        connection.close()

    def writer() -> Generator[simpy.Event, Any, None]:
        connection = network.hosts["guest1"].tcp.connect(guest_ip(2), 5001)
        yield connection.opened
        assert connection.opened.value == ""
        position = 0
        for cut in [*cuts, len(data)]:
            connection.send(data[position : position + cut])
            position += cut
            yield network.env.timeout(0.01)
        connection.close()

    network.hosts["guest2"].tcp.listen(5001, reader)
    network.run(writer())
    network.wait(120.0)
    return bytes(got)


@settings(max_examples=15)
@given(st.binary(max_size=9000), st.lists(st.integers(1, 2000), max_size=5))
def test_bytes_arrive_in_order_however_they_were_written(data: bytes, cuts: list[int]) -> None:
    assert transfer(bridge(guests=2), data, cuts) == data


@pytest.mark.parametrize("seed", range(6))
def test_bytes_arrive_in_order_over_a_wire_that_loses_a_tenth(seed: int) -> None:
    network = bridge(guests=2)
    lossy(network, "vif1.0", 0.1, seed)
    data = random.Random(seed).randbytes(40_000)
    assert transfer(network, data, []) == data
    assert all(not host.tcp.connections() for host in network.hosts.values())


def test_both_ends_are_closed_in_the_end_and_only_who_closed_first_lingers() -> None:
    network = bridge(guests=2)
    serve(network.hosts["guest2"], 7777)
    assert network.run(request(network.hosts["guest1"], guest_ip(2), 7777, b"hello")).reply == b"reply:hello"
    network.wait(0.1)
    assert [c.state for c in network.hosts["guest1"].tcp.connections()] == [State.TIME_WAIT]
    assert network.hosts["guest2"].tcp.connections() == []
    network.wait(61.0)
    assert network.hosts["guest1"].tcp.connections() == []


def test_nobody_listening_is_refused_at_once() -> None:
    network = bridge(guests=2)
    assert (
        network.run(request(network.hosts["guest1"], guest_ip(2), 7777, b"")).outcome == "Connection refused"
    )
    assert network.env.now < 0.01


def test_nobody_there_is_no_route_to_host_after_three_seconds() -> None:
    network = bridge(guests=1)
    assert network.run(request(network.hosts["guest1"], guest_ip(2), 7777, b"", timeout=9.0)).outcome == (
        "No route to host"
    )
    assert network.env.now == pytest.approx(3.0)


def test_no_route_is_network_unreachable_without_a_frame() -> None:
    network = bridge(guests=1)
    assert (
        network.run(request(network.hosts["guest1"], "8.8.8.8", 53, b"")).outcome == "Network is unreachable"
    )
    assert network.records == []


def test_a_syn_that_vanishes_is_sent_again_after_one_three_and_seven_seconds() -> None:
    network = bridge(guests=2)
    guest = network.hosts["guest1"]
    guest.routes.add(Route.to("default", "eth0", gateway=guest_ip(2)))  # which does not forward
    assert network.run(request(guest, "8.8.8.8", 53, b"", timeout=8.0)).outcome == "timed out"
    sent = [record.sent for record in network.records if protocol(record.frame) == "TCP"]
    assert sent[::2] == pytest.approx([0.0, 1.0, 3.0, 7.0], abs=0.01)


def test_a_connection_outlives_the_guests_migration() -> None:
    network = two_servers()
    hosts = network.hosts
    done = network.env.process(upload(hosts["client"], hosts["guest1"], guest_ip(1), 5001, 200_000))
    network.wait(0.001)  # in the middle of it
    network.run(migrate(network, hosts["guest1"], hosts["dom0-a"], hosts["dom0-b"], 2, downtime=0.3))
    seconds = network.env.run(until=done)
    assert 0.3 < seconds < 1.0
    links = {record.link for record in network.records if protocol(record.frame) == "TCP"}
    assert {"vif1.0", "vif2.0"} <= links


def test_the_client_is_told_when_the_server_forgot_the_connection() -> None:
    network = bridge(guests=1)
    client, guest = network.hosts["client"], network.hosts["guest1"]
    serve(guest, 7777)
    connection = client.tcp.connect(guest_ip(1), 7777)
    network.wait(0.1)
    guest.tcp.forget(guest.tcp.connections()[0])  # it was restarted
    connection.send(b"still there?")
    network.wait(0.1)
    assert connection.state is State.CLOSED
    assert client.source_for(guest_ip(1)) == CLIENT
