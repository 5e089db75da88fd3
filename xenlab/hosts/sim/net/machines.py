"""Who is on the simulated host's network: dom0, its network namespaces, and its guests, each a host of the model."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from xenlab.hosts.sim.net import words
from xenlab.networking import apps
from xenlab.networking.host import Host
from xenlab.networking.hotplug import plug, unplug
from xenlab.networking.network import Network
from xenlab.networking.routes import Route
from xenlab.networking.tcp import Connection
from xenlab.networking.vifspec import Rate, VifSpec

if TYPE_CHECKING:
    import simpy

    from xenlab.hosts.sim.xenstore import Xenstore

ECHO_PORT = 7777


@dataclass
class Machines:
    """The network of one simulated host.

    Args:
        env: The host's clock.

    """

    env: simpy.Environment
    network: Network = field(init=False)
    namespaces: dict[str, Host] = field(default_factory=dict)
    captures: dict[str, tuple[str, int]] = field(
        default_factory=dict
    )  # by file: the link, and frames seen before

    def __post_init__(self) -> None:
        self.network = Network(env=self.env)
        self.dom0 = self.network.add_host("dom0")
        uplink = self.dom0.add_interface("eth0", "52:54:00:12:34:56")
        self.dom0.add_address(uplink, "10.0.2.15/24")
        self.dom0.routes.add(Route.to("default", "eth0", gateway="10.0.2.2"))
        bridge = self.dom0.add_bridge("xenbr0")
        self.dom0.add_address(bridge.device, "10.77.0.1/24")

    # -- guests

    def connect(self, store: Xenstore, domid: int, address: str | None, gateway: str | None) -> None:
        """A guest has booted: lay its vifs, run their scripts, and give its first card an address and a route."""
        numbers = store.names(f"/local/domain/{domid}/device/vif") or []
        if not numbers:
            return
        for number in numbers:
            self.attach(store, domid, int(number))
        guest = self.network.hosts[f"guest{domid}"]
        if address:
            guest.add_address(guest.interfaces["eth0"], address)
        if gateway:
            guest.routes.add(Route.to("default", "eth0", gateway=gateway))

    def attach(self, store: Xenstore, domid: int, number: int) -> None:
        """A running guest gets one more vif; its card has no address yet."""
        name = f"guest{domid}"
        guest = self.network.hosts.get(name) or self.network.add_host(name)
        back = store.read(f"/local/domain/{domid}/device/vif/{number}/backend") or ""
        plug(self.network, self.dom0, guest, domid, _spec(store, back, number))

    def detach(self, domid: int, number: int) -> None:
        """A running guest loses a vif, and the card that it was."""
        guest = self.network.hosts.get(f"guest{domid}")
        card = guest.interfaces.get(f"eth{number}") if guest else None
        for link in list(self.network.links.values()):
            if guest and card and (link.far.host, link.far.name) == (guest.name, card.name):
                unplug(self.network, self.dom0, link.name)
                guest.remove_interface(card)

    def disconnect(self, domid: int) -> None:
        """A guest is gone, and its vifs with it."""
        guest = self.network.hosts.pop(f"guest{domid}", None)
        if guest is None:
            return
        for name in [name for name, link in self.network.links.items() if link.far.host == guest.name]:
            unplug(self.network, self.dom0, name)

    def answer(self, domid: int) -> None:
        """Let a guest send back whatever comes to its TCP port 7777, as the workload `ping` does."""

        def conversation(connection: Connection) -> Generator[simpy.Event, Any, None]:
            while data := (yield connection.read()):
                connection.send(data)
            connection.close()

        guest = self.network.hosts.get(f"guest{domid}")
        if guest is not None:
            guest.tcp.listen(ECHO_PORT, conversation)

    def ping_from(self, domid: int, target: str) -> Generator[simpy.Event, Any, str]:
        """Let a guest ping somebody once; the value is what busybox's `ping` prints."""
        guest = self.network.hosts.get(f"guest{domid}")
        if guest is None:
            return words.NO_NETWORK.format(target)
        pinged = yield from apps.ping(guest, target, timeout=2.0, ident=90, first=0)
        return words.busybox_ping(pinged)

    # -- namespaces

    def add_namespace(self, name: str) -> None:
        """A machine made of nothing but a network."""
        self.namespaces[name] = self.network.add_host(name)

    def remove_namespace(self, name: str) -> None:
        """Take it away, and the cables that end in it."""
        host = self.namespaces.pop(name)
        del self.network.hosts[name]
        for link in [
            link for link in self.network.links.values() if host.name in (link.near.host, link.far.host)
        ]:
            self.network.disconnect(link.name)
            near = self.network.hosts.get(link.near.host)
            if near is not None:
                near.remove_interface(near.interfaces[link.near.name])

    # -- captures

    def capture(self, file: str, host: Host, interface: str) -> None:
        """Begin to capture on an interface; raises `KeyError` if there is no cable in it."""
        for name, link in self.network.links.items():
            if (host.name, interface) in ((link.near.host, link.near.name), (link.far.host, link.far.name)):
                self.captures[file] = (name, len(self.network.records))
                return
        raise KeyError(interface)

    def captured(self, file: str) -> bytes:
        """What a capture has seen so far, as a pcap file."""
        link, before = self.captures[file]
        return self.network.pcap(link, since=before)


def _spec(store: Xenstore, back: str, number: int) -> VifSpec:
    """The interface as libxl has written it into xenstore."""

    def key(name: str) -> str:
        return store.read(f"{back}/{name}") or ""

    rate = Rate(*map(int, key("rate").split(","))) if key("rate") else None
    return VifSpec(
        mac=key("mac"),
        bridge=key("bridge"),
        script=key("script"),
        ip=key("ip"),
        rate=rate,
        gatewaydev=key("gatewaydev"),
        vifname=key("vifname"),
        devid=number,
        mtu=int(key("mtu") or 1500),
    )
