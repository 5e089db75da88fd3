"""A host's tables as the commands of Debian 12 print them: iproute2 6.1, bridge-utils 1.7, iputils
20221126. Rules and conversations are in `rule_tables`.

Every function takes a model and returns text, without the last line's end: what `ip route` and its like would
print on a real host in the same state, with the spaces that iproute2 leaves at the ends of lines. The
kernel's multicast entries are left out, and so is IPv6.

>>> from xenlab.networking.topologies import nat
>>> print(ip_route(nat().hosts["dom0"]))  # doctest: +NORMALIZE_WHITESPACE
10.0.1.1 dev vif1.0 scope link src 10.0.1.128
10.0.2.1 dev vif2.0 scope link src 10.0.2.128
192.168.1.0/24 dev lan0 proto kernel scope link src 192.168.1.10
"""

from __future__ import annotations

from collections.abc import Iterable

from xenlab.commands import XenlabError
from xenlab.networking.apps import Pinged
from xenlab.networking.bridge import Bridge, Entry
from xenlab.networking.frames import BROADCAST
from xenlab.networking.host import Host
from xenlab.networking.icmp import PING_WORDS
from xenlab.networking.link import Interface, Link


def ip_addr(host: Host, device: str = "") -> str:
    """What ``ip -4 addr`` (or ``ip -4 addr show dev DEVICE``) says: the interfaces that have an IPv4 address."""
    chosen = [_interface(host, device)] if device else host.interfaces.values()
    lines: list[str] = []
    for interface in chosen:
        if interface.addresses:
            lines.append(_link_line(host, interface) + _peer_note(interface))
        for address in interface.addresses:
            broadcast = f" brd {interface.broadcast}" if interface.broadcast else ""
            scope = "host" if interface.name == "lo" else "global"
            lines.append(f"    inet {address}{broadcast} scope {scope} {interface.name}")
            lines.append("       valid_lft forever preferred_lft forever")
    return "\n".join(lines)


def ip_link(host: Host, device: str = "") -> str:
    """What ``ip link`` (or ``ip link show dev DEVICE``) says."""
    chosen = [_interface(host, device)] if device else host.interfaces.values()
    lines: list[str] = []
    for interface in chosen:
        lines += [
            _link_line(host, interface, mode="mode DEFAULT "),
            _hardware_line(interface) + _peer_note(interface),
        ]
    return "\n".join(lines)


def ip_route(host: Host) -> str:
    """What ``ip route`` says."""
    lines = []
    for route in host.routes.entries():
        text = route.text
        text += f" via {route.gateway}" if route.gateway else ""
        text += f" dev {route.device}"
        text += " proto kernel" if route.kernel else ""
        text += "" if route.gateway else " scope link"
        text += f" src {route.source}" if route.source else ""
        text += f" metric {route.metric}" if route.metric else ""
        text += "" if host.interfaces[route.device].carrier else " linkdown"
        lines.append(text + " ")
    return "\n".join(lines)


def ip_neigh(host: Host) -> str:
    """What ``ip neigh`` says: the ARP table."""
    return "\n".join(
        f"{entry.ip} dev {entry.interface.name}"
        + (f" lladdr {entry.mac}" if entry.mac else "")
        + f" {entry.state} "
        for entry in host.arp.entries()
    )


def brctl_show(host: Host, names: Iterable[str] = ()) -> str:
    """What ``brctl show`` says: the bridges and their ports; only these bridges if some are named."""
    lines = ["bridge name\tbridge id\t\tSTP enabled\tinterfaces"]
    for bridge in [host.bridges[name] for name in names] or host.bridges.values():
        ports = list(bridge.ports) or [""]
        lines.append(f"{bridge.name}\t\t{_bridge_id(bridge)}\tno\t\t{ports[0]}")
        lines += [f"\t\t\t\t\t\t\t{port}" for port in ports[1:]]
    return "\n".join(lines)


def brctl_showmacs(host: Host, bridge: str) -> str:
    """What ``brctl showmacs BRIDGE`` says: the forwarding table, sorted by address.

    The ports' own addresses are there twice, once for VLAN 1, in which all ports are.
    """
    found = _bridge(host, bridge, otherwise="read of forward table failed: No such device")
    numbers = {port: number for number, port in enumerate(found.ports, start=1)}
    lines = ["port no\tmac addr\t\tis local?\tageing timer"]
    for entry in sorted(found.entries(), key=lambda entry: (entry.mac, numbers[entry.port])):
        local = "yes" if entry.local else "no"
        line = f"{numbers[entry.port]:3}\t{entry.mac}\t{local}\t\t{entry.age:7.2f}"
        lines += [line] * (2 if entry.local else 1)
    return "\n".join(lines)


def bridge_fdb(host: Host, bridge: str) -> str:
    """What ``bridge fdb show br BRIDGE`` says: the forwarding table, port by port."""
    found = _bridge(host, bridge, otherwise=f'Cannot find bridge device "{bridge}"')

    def lines(entry: Entry) -> list[str]:
        where, master = f"{entry.mac} dev {entry.port}", f"master {found.name}"
        if entry.local:
            return [f"{where} vlan 1 {master} permanent", f"{where} {master} permanent"]
        return [f"{where} {master} "]

    by_port = sorted(found.entries(), key=lambda entry: (list(found.ports).index(entry.port), entry.local))
    return "\n".join(line for entry in by_port for line in lines(entry))


def bridge_link(host: Host) -> str:
    """What ``bridge link`` says: the ports of all bridges."""
    return "\n".join(
        f"{port.index}: {port.name}{_other_end(host, port)}: <{_flags(port, port.carrier)}> "
        f"mtu {port.mtu} master {port.master} "
        f"state {'forwarding' if port.carrier else 'disabled'} "
        f"priority 32 cost {_COSTS[port.kind]} "
        for bridge in host.bridges.values()
        for port in bridge.ports.values()
    )


def ping(pinged: Pinged) -> str:
    """What ``ping`` (iputils) says."""
    if pinged.refusal:
        return f"ping: connect: {pinged.refusal}"
    lines = [f"PING {pinged.target} ({pinged.target}) 56(84) bytes of data."]
    for answer, time in pinged.answers:
        if answer.trouble is None:
            lines.append(
                f"{answer.size} bytes from {answer.source}: "
                f"icmp_seq={answer.sequence} ttl={answer.ttl} time={_milliseconds(time)} ms"
            )
        else:
            words = PING_WORDS.get((answer.trouble.kind, answer.trouble.code), "Unknown code")
            lines.append(f"From {answer.source} icmp_seq={answer.sequence} {words}")
    errors = len(pinged.answers) - pinged.received
    loss = 100 * (pinged.sent - pinged.received) / pinged.sent
    lines += [
        "",
        f"--- {pinged.target} ping statistics ---",
        f"{pinged.sent} packets transmitted, {pinged.received} received, "
        + (f"+{errors} errors, " if errors else "")
        + f"{loss:g}% packet loss, time {pinged.duration * 1000:.0f}ms",
    ]
    times = [time * 1000 for time in pinged.times]
    if times:
        mean = sum(times) / len(times)
        deviation = max(sum(time * time for time in times) / len(times) - mean * mean, 0.0) ** 0.5
        lines.append(
            f"rtt min/avg/max/mdev = {min(times):.3f}/{mean:.3f}/{max(times):.3f}/{deviation:.3f} ms"
        )
    else:
        lines.append("")
    return "\n".join(lines)


# --- interfaces and bridges ---


def _interface(host: Host, device: str) -> Interface:
    if device not in host.interfaces:
        raise XenlabError(f'Device "{device}" does not exist.')
    return host.interfaces[device]


def _bridge(host: Host, name: str, otherwise: str) -> Bridge:
    if name not in host.bridges:
        raise XenlabError(otherwise)
    return host.bridges[name]


#: What a port costs for the spanning tree, by its speed: a vif has none, a pair 10 Gbit/s, a card here one.
_COSTS = {"vif": 100, "veth": 2, "": 4}


def _carries(host: Host, interface: Interface) -> bool:
    """Has it a carrier? A bridge has if one of its ports has, or if it never had a port."""
    bridge = host.bridges.get(interface.name)
    if bridge is None:
        return interface.carrier
    return interface.up and (not bridge.used or any(port.carrier for port in bridge.ports.values()))


def _other_end(host: Host, port: Interface) -> str:
    """What `bridge` takes for the other end of a pair: it looks its number up among this host's own interfaces."""
    if port.kind != "veth" or port.peer is None:
        return ""
    index = port.peer.index
    return "@" + next((one.name for one in host.interfaces.values() if one.index == index), f"if{index}")


def _flags(interface: Interface, carrier: bool) -> str:
    if interface.name == "lo":
        return "LOOPBACK,UP,LOWER_UP" if interface.up else "LOOPBACK"
    if not interface.up:
        return "BROADCAST,MULTICAST"
    if carrier:
        return "BROADCAST,MULTICAST,UP,LOWER_UP"
    return "NO-CARRIER,BROADCAST,MULTICAST,UP"


def _link_line(host: Host, interface: Interface, mode: str = "") -> str:
    carrier = _carries(host, interface)
    suffix = f"@if{interface.peer.index}" if interface.kind == "veth" and interface.peer else ""
    master = f" master {interface.master}" if interface.master else ""
    return (
        f"{interface.index}: {interface.name}{suffix}: <{_flags(interface, carrier)}> "
        f"mtu {65536 if interface.name == 'lo' else interface.mtu} qdisc {_queue(host, interface)}{master} "
        f"state {_state(host, interface, carrier)} {mode}group default qlen 1000"
    )


def _queue(host: Host, interface: Interface) -> str:
    if interface.name == "lo" or interface.name in host.bridges:
        return "noqueue"
    return {"vif": "mq", "veth": "noqueue", "": "fq_codel"}[interface.kind] if interface.up else "noop"


def _state(host: Host, interface: Interface, carrier: bool) -> str:
    bridge = host.bridges.get(interface.name)
    if interface.up and (interface.name == "lo" or (bridge is not None and not bridge.used)):
        return "UNKNOWN"
    if interface.kind == "veth" and interface.up and not carrier:
        return "LOWERLAYERDOWN"
    return "UP" if carrier else "DOWN"


def _peer_note(interface: Interface) -> str:
    """Where the other end of a pair is: named in dom0, which made the namespace, and only numbered in there."""
    link = interface.medium
    if interface.kind != "veth" or not isinstance(link, Link):
        return ""
    return f" link-netns {link.far.host}" if interface is link.near else " link-netnsid 0"


def _hardware_line(interface: Interface) -> str:
    kind, broadcast = ("loopback", interface.mac) if interface.name == "lo" else ("ether", BROADCAST)
    return f"    link/{kind} {interface.mac} brd {broadcast}"


def _bridge_id(bridge: Bridge) -> str:
    return "8000." + (bridge.device.mac.replace(":", "") if bridge.ports else "0" * 12)


def _milliseconds(seconds: float) -> str:
    """A round-trip time as ping prints it: three digits or more, no false precision."""
    value = seconds * 1000
    if value >= 99.95:
        return f"{value:.0f}"
    if value >= 9.995:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.9995 else f"{value:.3f}"
