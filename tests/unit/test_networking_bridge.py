"""The learning bridge: what it floods, what it forwards, what it forgets."""

from __future__ import annotations

import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from xenlab.networking.bridge import VIF_MAC, Bridge
from xenlab.networking.frames import BROADCAST, mac_bytes
from xenlab.networking.link import Interface

STATIONS = [f"00:16:3e:00:00:{number:02x}" for number in range(4)]
PORTS = ["vif1.0", "vif2.0", "vif3.0"]


class Wire:
    """A medium that notes what is sent into it."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def carry(self, sender: Interface, frame: bytes) -> None:
        self.sent.append(sender.name)


class Host:
    """Takes what the bridge hands to its own host."""

    def __init__(self) -> None:
        self.received = 0

    def receive(self, interface: Interface, frame: bytes) -> None:
        self.received += 1


def make(ageing_time: float = 300.0) -> tuple[simpy.Environment, Bridge, Wire, Host]:
    env, wire, host = simpy.Environment(), Wire(), Host()
    bridge = Bridge(env, Interface("xenbr0", "02:00:00:00:00:99", "dom0", host), ageing_time)
    for name in PORTS:
        port = Interface(name, VIF_MAC, "dom0", host, medium=wire)
        bridge.add(port)
    return env, bridge, wire, host


def send(bridge: Bridge, wire: Wire, port: str, source: str, destination: str) -> list[str]:
    """Let a frame come in on a port; return the ports it leaves by."""
    wire.sent.clear()
    bridge.ports[port].receive(mac_bytes(destination) + mac_bytes(source) + bytes(48))
    return list(wire.sent)


frames_in = st.tuples(
    st.sampled_from(PORTS),
    st.sampled_from(STATIONS),
    st.sampled_from(STATIONS),
    st.sampled_from([0.0, 1.0, 6.0]),
)


@settings(max_examples=60)
@given(st.lists(frames_in, max_size=20))
def test_a_frame_goes_to_the_port_last_heard_from_or_else_to_all_others(
    sequence: list[tuple[str, str, str, float]],
) -> None:
    env, bridge, wire, _ = make(ageing_time=5.0)
    heard: dict[
        str, tuple[str, float]
    ] = {}  # the specification: where was each station last heard, and when?
    for port, source, destination, pause in sequence:
        env.run(until=env.now + pause + 1e-3)
        heard[source] = (port, env.now)
        where, when = heard.get(destination, ("", float("-inf")))
        expected = [where] if env.now < when + 5.0 else PORTS
        assert send(bridge, wire, port, source, destination) == [name for name in expected if name != port]


def test_a_broadcast_reaches_every_other_port_and_the_host() -> None:
    _, bridge, wire, host = make()
    assert send(bridge, wire, "vif1.0", STATIONS[0], BROADCAST) == ["vif2.0", "vif3.0"]
    assert host.received == 1


def test_a_station_that_moves_is_found_behind_its_new_port() -> None:
    _, bridge, wire, _ = make()
    send(bridge, wire, "vif1.0", STATIONS[0], BROADCAST)
    send(bridge, wire, "vif2.0", STATIONS[0], BROADCAST)  # the gratuitous ARP of a guest that was migrated
    assert send(bridge, wire, "vif3.0", STATIONS[1], STATIONS[0]) == ["vif2.0"]


def test_what_was_learnt_on_a_port_goes_with_it() -> None:
    _, bridge, wire, _ = make()
    send(bridge, wire, "vif1.0", STATIONS[0], BROADCAST)
    bridge.remove(bridge.ports["vif1.0"])
    assert send(bridge, wire, "vif3.0", STATIONS[1], STATIONS[0]) == ["vif2.0"]
    assert [entry.mac for entry in bridge.entries() if not entry.local] == [STATIONS[1]]


def test_the_address_of_the_bridge_is_its_cards_whatever_guests_come_and_go() -> None:
    _, bridge, _, host = make()
    assert bridge.device.mac == VIF_MAC
    bridge.add(Interface("eth0", "02:00:00:00:00:01", "dom0", host))
    assert bridge.device.mac == "02:00:00:00:00:01"
    bridge.add(Interface("vif4.0", VIF_MAC, "dom0", host))
    bridge.remove(bridge.ports["vif1.0"])
    assert bridge.device.mac == "02:00:00:00:00:01"
    for port in list(bridge.ports.values()):
        bridge.remove(port)
    assert bridge.device.mac == "02:00:00:00:00:99"


def test_a_frame_for_the_host_is_not_forwarded() -> None:
    _, bridge, wire, host = make()
    assert send(bridge, wire, "vif1.0", STATIONS[0], VIF_MAC) == []
    assert host.received == 1
