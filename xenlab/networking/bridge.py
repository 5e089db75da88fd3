"""The learning bridge: an Ethernet switch inside dom0.

A bridge joins interfaces (its *ports*) into one Ethernet network. It learns which address lives behind which
port from the source address of every frame, sends a frame to the one port where its destination lives, and
*floods* it to all other ports while it does not know. What it learnt it forgets when it has not seen the
address for the ageing time, 300 s. The bridge is also an interface of its host, so that dom0 itself takes
part in the network.

>>> import simpy
>>> table = ForwardingTable(simpy.Environment(), ageing_time=300.0)
>>> table.learn("00:16:3e:00:00:01", "vif1.0")
>>> table.port_of("00:16:3e:00:00:01"), table.port_of("00:16:3e:00:00:02")
('vif1.0', None)

Xen makes its bridges with the spanning tree protocol off and no forwarding delay (xen-network-common.sh:
create_bridge), so a vif carries traffic as soon as it is attached. It gives every vif in dom0 the hardware
address fe:ff:ff:ff:ff:ff: a bridge takes the lowest address among its ports, and that one never is the lowest
beside a real card's, so that the bridge's own address does not change when guests come and go.

Sources: Linux net/bridge/br_input.c, br_forward.c, br_fdb.c, br_stp_if.c; IEEE 802.1D.
"""

from __future__ import annotations

from dataclasses import dataclass

import simpy

from xenlab.networking.frames import mac_bytes, mac_text
from xenlab.networking.link import Interface

AGEING_TIME = 300.0
#: The address of every vif's end in dom0 (xen-network-common.sh: _setup_bridge_port).
VIF_MAC = "fe:ff:ff:ff:ff:ff"


@dataclass(frozen=True)
class Entry:
    """A line of a forwarding table: an address, its port, seconds since a frame came from it; `local` is the
    host's own.
    """

    mac: str
    port: str
    age: float
    local: bool


class ForwardingTable:
    """Which address lives behind which port, for as long as frames keep coming from it.

    Arguments: `ageing_time` is how many seconds an address is remembered after its last frame.
    """

    def __init__(self, env: simpy.Environment, ageing_time: float) -> None:
        self._env = env
        self.ageing_time = ageing_time
        self._seen: dict[str, tuple[str, float]] = {}

    def learn(self, mac: str, port: str) -> None:
        """A frame from `mac` came in on `port`: remember it, or that it moved there."""
        self._seen[mac] = (port, self._env.now)

    def port_of(self, mac: str) -> str | None:
        """The port behind which `mac` lives, or None if the table does not know (or no longer)."""
        port, seen = self._seen.get(mac, (None, 0.0))
        return port if port is not None and self._env.now < seen + self.ageing_time else None

    def forget(self, port: str) -> None:
        """Drop all that was learnt on `port`."""
        self._seen = {mac: (where, at) for mac, (where, at) in self._seen.items() if where != port}

    def entries(self) -> list[Entry]:
        """All that the table still knows, oldest first to be learnt."""
        return [
            Entry(mac, port, self._env.now - seen, local=False)
            for mac, (port, seen) in self._seen.items()
            if self.port_of(mac) is not None
        ]


class Bridge:
    """A learning bridge; `device` is the interface by which its own host takes part (``xenbr0``).

    It handles the frames of its ports (`receive`), and is the medium its device sends into (`carry`).
    """

    def __init__(self, env: simpy.Environment, device: Interface, ageing_time: float = AGEING_TIME) -> None:
        self.device = device
        self.ports: dict[str, Interface] = {}
        self.used = False  # has it ever had a port?
        self.table = ForwardingTable(env, ageing_time)
        self._fallback_mac = device.mac
        device.medium = self

    @property
    def name(self) -> str:
        """The name of the bridge and of its device."""
        return self.device.name

    def add(self, port: Interface) -> None:
        """Make an interface a port: its frames now go to the bridge and no longer to the host."""
        self.ports[port.name] = port
        self.used = True
        port.receiver, port.master = self, self.name
        self._choose_mac()

    def remove(self, port: Interface) -> None:
        """Take a port off the bridge and forget what was learnt on it; its frames go to the host again."""
        del self.ports[port.name]
        port.receiver, port.master = self.device.receiver, ""
        self.table.forget(port.name)
        self._choose_mac()

    def is_local(self, mac: str) -> bool:
        """Is this an address of the host itself: the bridge's or one of its ports'?"""
        return mac == self.device.mac or any(port.mac == mac for port in self.ports.values())

    def entries(self) -> list[Entry]:
        """The forwarding table as the kernel keeps it: the ports' own addresses, each once, then the learnt
        ones.
        """
        own: dict[str, Entry] = {}
        for port in self.ports.values():
            own.setdefault(port.mac, Entry(port.mac, port.name, 0.0, local=True))
        return [*own.values(), *self.table.entries()]

    def receive(self, interface: Interface, frame: bytes) -> None:
        """A frame came in on a port: learn where its source is, then pass it to the host, forward it, or
        flood it.
        """
        source, destination = mac_text(frame[6:12]), mac_text(frame[:6])
        if not self.is_local(source):
            self.table.learn(source, interface.name)
        if self.is_local(destination):
            self.device.receive(frame)
            return
        self._forward(frame, destination, came_in_on=interface.name)
        if frame[0] & 1:  # a group address: the host is one of the group
            self.device.receive(frame)

    def carry(self, sender: Interface, frame: bytes) -> None:
        """The host sends a frame through its bridge device."""
        self._forward(frame, mac_text(frame[:6]), came_in_on=None)

    def _forward(self, frame: bytes, destination: str, came_in_on: str | None) -> None:
        known = self.table.port_of(destination)
        for port in [self.ports[known]] if known else list(self.ports.values()):
            if port.name != came_in_on:
                port.send(frame)

    def _choose_mac(self) -> None:
        self.device.mac = min(
            (port.mac for port in self.ports.values()), default=self._fallback_mac, key=mac_bytes
        )
