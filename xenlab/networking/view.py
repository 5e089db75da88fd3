"""Networks on the page: frames that move between machines, each opened layer by layer, and three ways side by side."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import traitlets

from xenlab.commands import XenlabError
from xenlab.networking import rule_tables, tables, topologies
from xenlab.networking.actions import Ping
from xenlab.networking.dissect import Layer, Tcpdump, layers
from xenlab.networking.host import Host
from xenlab.networking.link import Record
from xenlab.networking.network import Network
from xenlab.ui.player import PLAYER_JS, Player
from xenlab.ui.widget import source

_HERE = Path(__file__).parent
_CSS = source("theme.css", _HERE / "view.css")
WIDTH, ROW, BOX = 560, 74, 118
#: How many frames a picture shows at most.
MOST = 60


class Frames(Player):
    """A network on which frames move, one a moment; each is opened layer by layer, and every machine shows its tables.

    Args:
        network: A model on which something has happened; its machines are the client, dom0 and guests.

    >>> network = topologies.bridge(guests=2)
    >>> network.run(Ping("guest1", "192.168.1.102").take(network))
    '1 of 1'
    >>> Frames(network).step(1)
    '0.0 ms, vif1.0: ARP, Request who-has 192.168.1.102 tell 192.168.1.101, length 28'
    """

    _esm = PLAYER_JS + source(_HERE / "frames.js")
    _css = _CSS
    #: The machines: name, place, the lines in the box, and the tables shown when it is pressed.
    machines: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    cables: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    #: For each moment after the first: from where to where the frame goes, its protocol, and its layers.
    frames: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    height = traitlets.Int().tag(sync=True)

    def __init__(self, network: Network) -> None:
        records = network.records[:MOST]
        if not records:
            raise XenlabError(
                "network(=no frames) must have seen at least one frame: let something happen on it first"
            )
        places = _places(network)
        dumps: dict[str, Tcpdump] = {}
        start = records[0].time
        captions = ["Nothing has happened yet. Press *Play*, or step. Press a machine to see its tables."]
        for record in records:
            words = dumps.setdefault(record.link, Tcpdump()).describe(record.frame)
            captions.append(f"{1000 * (record.time - start):.1f} ms, `{record.link}`: {words}")
        super().__init__(
            captions,
            machines=[_machine(network.hosts[name], *place) for name, place in places.items()],
            cables=[
                {"name": link.name, "ends": [places[link.near.host], places[link.far.host]]}
                for link in network.links.values()
            ],
            frames=[_frame(record, places) for record in records],
            height=max(y for _, y in places.values()) + ROW,
            period=1200,
        )

    def picture(self) -> str:
        """Return the frames as a list."""
        return "<ol>" + "".join(f"<li>{caption}</li>" for caption in self.captions[1:]) + "</ol>"


def _places(network: Network) -> dict[str, tuple[int, int]]:
    """Where each machine stands: the client left, dom0 in the middle, guests in a column on the right."""
    guests = sorted(name for name in network.hosts if name.startswith("guest"))
    middle = ROW * max(len(guests), 1) // 2 + 10
    places = {"client": (12, middle), "dom0": (WIDTH // 2 - BOX // 2, middle)}
    places |= {name: (WIDTH - BOX - 12, 14 + ROW * row) for row, name in enumerate(guests)}
    return {name: place for name, place in places.items() if name in network.hosts}


def _machine(host: Host, x: int, y: int) -> dict[str, Any]:
    addresses = [
        f"{interface.name} {address.ip}"
        for interface in host.interfaces.values()
        for address in interface.addresses
        if interface.name != "lo"
    ]
    shown = [("routes", tables.ip_route(host)), ("neighbours", tables.ip_neigh(host))]
    shown += [(f"{name} has learnt", tables.brctl_showmacs(host, name)) for name in host.bridges]
    if host.netfilter.rules:
        shown.append(("address translation", rule_tables.iptables_list(host.netfilter, "nat")))
    return {
        "name": host.name,
        "place": [x, y],
        "lines": addresses[:2] or ["no address"],
        "tables": [{"title": title, "text": text or "(empty)"} for title, text in shown],
    }


def _frame(record: Record, places: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    opened = layers(record.frame)
    return {
        "from": places[record.sender],
        "to": places[record.receiver],
        "link": record.link,
        "kind": opened[-1].name if len(opened) < 3 else opened[2].name,
        "layers": [_layer(layer) for layer in opened],
    }


def _layer(layer: Layer) -> dict[str, Any]:
    return {
        "name": layer.name,
        "fields": [[field.name, field.value] for field in layer.fields],
    }


class SideBySide(Player):
    """The same ping in the three ways of joining a guest: which frames pass which cable.

    >>> side = SideBySide()
    >>> [way["title"].split(":")[0] for way in side.ways]
    ['Bridge', 'Router', 'NAT']
    >>> side.step(1).split(".")[0]
    'Bridge: lan0, ARP, Request who-has 192'
    """

    _esm = PLAYER_JS + source(_HERE / "sides.js")
    _css = _CSS
    ways: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)

    def __init__(self) -> None:
        to_guest = Ping("client", topologies.guest_ip(1), timeout=4)
        to_client = Ping("guest1", topologies.CLIENT, timeout=4)
        ways = [
            _way("Bridge: the client pings the guest", topologies.bridge(1), to_guest),
            _way("Router: the client pings the guest", topologies.routed(1), to_guest),
            _way("NAT: the guest pings the client", topologies.nat(1), to_client),
        ]
        most = max(len(way["frames"]) for way in ways)
        captions = ["One ping, three times. Press *Play*, or step."]
        for number in range(most):
            told = [
                f"**{way['title'].partition(':')[0]}**: `{each['link']}`, {each['words']}"
                for way in ways
                for each in way["frames"][number : number + 1]
            ]
            captions.append(" · ".join(told))
        super().__init__(captions, ways=ways, period=2000)

    def picture(self) -> str:
        """Return the three lists of frames."""
        return "".join(
            f"<h3>{way['title']}</h3><ol>"
            + "".join(
                f"<li><code>{each['link']}</code> {html.escape(each['words'])}</li>" for each in way["frames"]
            )
            + "</ol>"
            for way in self.ways
        )


def _way(title: str, network: Network, action: Ping) -> dict[str, Any]:
    network.run(action.take(network))
    dumps: dict[str, Tcpdump] = {}
    frames = [
        {
            "link": record.link,
            "words": dumps.setdefault(record.link, Tcpdump()).describe(record.frame),
            "macs": f"{record.frame[6:12].hex(':')} > {record.frame[:6].hex(':')}",
        }
        for record in _in_order(network.records)
    ]
    return {"title": title, "frames": frames}


def _in_order(records: Sequence[Record]) -> list[Record]:
    return sorted(records, key=lambda record: record.sent)
