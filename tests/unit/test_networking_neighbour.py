"""ARP as Linux does it: small simulations of two hosts on a cable, and the questions that pass on it."""

from __future__ import annotations

import pytest

from xenlab.networking import frames
from xenlab.networking.apps import ping, request, serve
from xenlab.networking.dissect import Tcpdump
from xenlab.networking.host import Host
from xenlab.networking.neighbour import State
from xenlab.networking.network import Network

LEFT, RIGHT, NOBODY = "10.0.0.1", "10.0.0.2", "10.0.0.9"


def two_hosts(seed: int = 0) -> tuple[Network, Host, Host]:
    network = Network(seed)
    left, right = network.add_host("left"), network.add_host("right")
    network.connect(left, "eth0", right, "eth0", name="cable")
    left.add_address(left.interfaces["eth0"], f"{LEFT}/24")
    right.add_address(right.interfaces["eth0"], f"{RIGHT}/24")
    return network, left, right


def questions(network: Network) -> list[tuple[float, str, bool]]:
    """When each ARP request was sent, what it asked, and whether everybody was asked."""
    dump = Tcpdump()
    return [
        (round(record.sent, 1), dump.describe(record.frame).split(", ")[1], record.frame[:1] == b"\xff")
        for record in network.records
        if "Request" in dump.describe(record.frame)
    ]


def state(host: Host, ip: str) -> State:
    return next(entry.state for entry in host.arp.entries() if entry.ip == ip)


def test_a_question_is_asked_three_times_then_the_sender_is_told() -> None:
    network, left, _ = two_hosts()
    pinged = network.run(ping(left, NOBODY))
    ask = f"Request who-has {NOBODY} tell {LEFT}"
    assert questions(network) == [(0.0, ask, True), (1.0, ask, True), (2.0, ask, True)]
    assert pinged.outcome == "Destination Host Unreachable"
    assert pinged.answers[0][1] == pytest.approx(3.0)
    assert state(left, NOBODY) is State.FAILED


def test_packets_wait_for_the_answer_and_then_go_in_order() -> None:
    network, left, right = two_hosts()
    got: list[bytes] = []
    right.udp.bind(7, lambda _ip, _port, data: got.append(data))
    for number in range(5):
        left.udp.send(4000, RIGHT, 7, bytes([number]))
    assert state(left, RIGHT) is State.INCOMPLETE
    network.wait(0.1)
    assert got == [bytes([number]) for number in range(5)]
    assert len(questions(network)) == 1


def test_who_was_asked_needs_not_ask_back_but_checks_after_five_seconds() -> None:
    network, left, right = two_hosts()
    network.run(ping(left, RIGHT))
    assert (state(left, RIGHT), state(right, LEFT)) == (State.REACHABLE, State.DELAY)
    network.wait(5.5)
    assert questions(network) == [
        (0.0, f"Request who-has {RIGHT} tell {LEFT}", True),
        (5.0, f"Request who-has {LEFT} tell {RIGHT}", False),
    ]
    assert state(right, LEFT) is State.REACHABLE


def test_a_neighbour_that_is_gone_is_asked_directly_three_times_and_fails() -> None:
    network, left, right = two_hosts()
    network.run(ping(left, RIGHT))
    left.interfaces["eth0"].up = False
    network.wait(9.0)
    assert [(when, everybody) for when, _, everybody in questions(network)[1:]] == [
        (5.0, False),
        (6.0, False),
        (7.0, False),
    ]
    assert state(right, LEFT) is State.FAILED


def test_an_unused_neighbour_grows_stale_within_45_seconds_and_is_not_asked() -> None:
    network, left, _ = two_hosts()
    network.run(ping(left, RIGHT))
    network.wait(46.0)
    assert state(left, RIGHT) is State.STALE
    assert [ask for _, ask, _ in questions(network) if f"who-has {RIGHT}" in ask] == [
        f"Request who-has {RIGHT} tell {LEFT}"
    ]


def test_progress_of_tcp_proves_a_neighbour_without_a_question() -> None:
    network, left, right = two_hosts()
    serve(right, 80)
    for _ in range(8):  # a conversation about every second, for longer than the five seconds of DELAY
        assert network.run(request(left, RIGHT, 80, b"hello")).outcome == "connected"
        network.wait(0.8)
    assert len(questions(network)) == 1
    assert state(right, LEFT) is State.REACHABLE


def test_the_second_of_two_different_answers_is_ignored_for_a_second() -> None:
    network, left, right = two_hosts()
    network.run(ping(left, RIGHT))
    impostor = "00:16:3e:00:00:66"
    card = left.interfaces["eth0"]
    lie = frames.ethernet(impostor, card.mac, frames.arp(frames.REPLY, impostor, RIGHT, LEFT, card.mac))
    card.receive(lie)
    assert left.arp.entries()[0].mac == right.interfaces["eth0"].mac
    network.wait(1.1)
    card.receive(lie)
    assert left.arp.entries()[0].mac == impostor


def test_a_gratuitous_arp_replaces_what_is_known_at_once_and_is_not_answered() -> None:
    network, left, right = two_hosts()
    network.run(ping(left, RIGHT))
    right.interfaces["eth0"].mac = "00:16:3e:00:00:77"
    before = len(network.records)
    right.arp.announce(right.interfaces["eth0"])
    network.wait(0.1)
    assert left.arp.entries()[0].mac == "00:16:3e:00:00:77"
    assert len(network.records) == before + 1


def router(*, forwarding: bool, proxy_arp: bool, seed: int = 0) -> tuple[Network, Host]:
    """A host, a router, and beyond the router the network 10.9.0.0/16."""
    network = Network(seed)
    left, middle, far = (
        network.add_host("left"),
        network.add_host("middle", forwarding=forwarding),
        network.add_host("far"),
    )
    network.connect(middle, "eth0", left, "eth0", name="near")
    network.connect(middle, "eth1", far, "eth0", name="beyond")
    left.add_address(
        left.interfaces["eth0"], "10.0.0.1/8"
    )  # thinks that all of 10.0.0.0/8 is on its own cable
    middle.add_address(middle.interfaces["eth0"], "10.0.0.254/24")
    middle.add_address(middle.interfaces["eth1"], "10.9.0.254/16")
    middle.interfaces["eth0"].proxy_arp = proxy_arp
    return network, left


@pytest.mark.parametrize(("forwarding", "proxy_arp"), [(True, True), (True, False), (False, True)])
def test_a_proxy_answers_for_others_only_if_it_forwards(forwarding: bool, proxy_arp: bool) -> None:
    network, left = router(forwarding=forwarding, proxy_arp=proxy_arp)
    left.udp.send(4000, "10.9.0.1", 7, b"")
    network.wait(0.9)
    assert (state(left, "10.9.0.1") is not State.INCOMPLETE) == (forwarding and proxy_arp)


def test_a_proxy_answers_for_nobody_on_the_side_that_asks_and_nowhere_without_a_route() -> None:
    network, left = router(forwarding=True, proxy_arp=True)
    for target in ("10.0.0.7", "10.77.0.1"):
        left.udp.send(4000, target, 7, b"")
    network.wait(0.9)
    assert state(left, "10.0.0.7") is state(left, "10.77.0.1") is State.INCOMPLETE


def test_a_proxy_takes_up_to_four_fifths_of_a_second_and_its_own_address_no_time() -> None:
    delays = []
    for seed in range(12):
        network, left = router(forwarding=True, proxy_arp=True, seed=seed)
        left.udp.send(4000, "10.9.0.1", 7, b"")
        network.wait(0.9)
        delays.append(network.records[1].sent)
        began = network.env.now
        left.udp.send(4000, "10.9.0.254", 7, b"")  # the router's address on its other side
        network.wait(0.1)
        answer = next(r for r in network.records if r.sent > began and r.receiver == "left")
        assert answer.sent - began < 0.001
    assert 0.0 < min(delays) < 0.25
    assert 0.55 < max(delays) < 0.8
