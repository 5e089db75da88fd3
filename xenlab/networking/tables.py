"""A host's tables as the commands of Debian 12 print them: iproute2 6.1, bridge-utils 1.7, iptables 1.8.9,
conntrack 1.4.7.

Every function takes a model and returns text, without the last line's end: what `ip route` and its like would
print on a real host in the same state, with the spaces that iproute2 leaves at the ends of lines. The
kernel's multicast entries are left out, and so is IPv6.

>>> from xenlab.networking.topologies import nat
>>> print(ip_route(nat().hosts["dom0"]))  # doctest: +NORMALIZE_WHITESPACE
10.0.1.1 dev vif1.0 scope link src 10.0.1.128
10.0.2.1 dev vif2.0 scope link src 10.0.2.128
192.168.1.0/24 dev eth0 proto kernel scope link src 192.168.1.10
"""

from __future__ import annotations

from collections.abc import Iterable

from xenlab.commands import XenlabError
from xenlab.networking.apps import Pinged
from xenlab.networking.bridge import Bridge, Entry
from xenlab.networking.conntrack import ICMP, TCP, UDP, Conntrack, Tuple
from xenlab.networking.conntrack import Entry as Conversation
from xenlab.networking.frames import BROADCAST
from xenlab.networking.host import Host
from xenlab.networking.icmp import PING_WORDS
from xenlab.networking.link import Interface
from xenlab.networking.netfilter import CHAINS, PROTOCOLS, Counter, Netfilter, Rule


def ip_addr(host: Host, device: str = "") -> str:
    """What ``ip -4 addr`` (or ``ip -4 addr show dev DEVICE``) says, with the line of hardware addresses."""
    chosen = [_interface(host, device)] if device else host.interfaces.values()
    lines: list[str] = []
    for interface in chosen:
        lines += [_link_line(host, interface), _hardware_line(interface)]
        for address in interface.addresses:
            broadcast = f" brd {interface.broadcast}" if interface.broadcast else ""
            scope = "host" if interface.name == "lo" else "global"
            lines.append(f"    inet {address}{broadcast} scope {scope} {interface.name}")
            lines.append("       valid_lft forever preferred_lft forever")
    return "\n".join(lines)


def ip_link(host: Host) -> str:
    """What ``ip link`` says."""
    lines: list[str] = []
    for interface in host.interfaces.values():
        lines += [_link_line(host, interface, mode="mode DEFAULT "), _hardware_line(interface)]
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


def brctl_show(host: Host) -> str:
    """What ``brctl show`` says: the bridges and their ports."""
    lines = ["bridge name\tbridge id\t\tSTP enabled\tinterfaces"]
    for bridge in host.bridges.values():
        ports = list(bridge.ports) or [""]
        lines.append(f"{bridge.name}\t\t{_bridge_id(bridge)}\tno\t\t{ports[0]}")
        lines += [f"\t\t\t\t\t\t\t{port}" for port in ports[1:]]
    return "\n".join(lines)


def brctl_showmacs(host: Host, bridge: str) -> str:
    """What ``brctl showmacs BRIDGE`` says: the forwarding table, sorted by address."""
    found = _bridge(host, bridge, otherwise="read of forward table failed: No such device")
    numbers = {port: number for number, port in enumerate(found.ports, start=1)}
    lines = ["port no\tmac addr\t\tis local?\tageing timer"]
    for entry in sorted(found.entries(), key=lambda entry: (entry.mac, numbers[entry.port])):
        local = "yes" if entry.local else "no"
        lines.append(f"{numbers[entry.port]:3}\t{entry.mac}\t{local}\t\t{entry.age:7.2f}")
    return "\n".join(lines)


def bridge_fdb(host: Host, bridge: str) -> str:
    """What ``bridge fdb show br BRIDGE`` says: the forwarding table."""
    found = _bridge(host, bridge, otherwise=f'Cannot find bridge device "{bridge}"')

    def line(entry: Entry) -> str:
        return f"{entry.mac} dev {entry.port} master {found.name} " + ("permanent" if entry.local else "")

    return "\n".join(map(line, found.entries()))


def bridge_link(host: Host) -> str:
    """What ``bridge link`` says: the ports of all bridges."""
    return "\n".join(
        f"{port.index}: {port.name}: <{_flags(port)}> mtu {port.mtu} master {port.master} "
        f"state {'forwarding' if port.carrier else 'disabled'} "
        f"priority 32 cost {100 if _is_vif(port) else 4} "
        for bridge in host.bridges.values()
        for port in bridge.ports.values()
    )


def iptables_list(rules: Netfilter, table: str = "filter") -> str:
    """What ``iptables -t TABLE -L -n -v`` says: rules, and how many packets met them.

    On Debian 12, where iptables is a front end of nftables, the policies of the ``nat`` table do not count.
    """
    blocks = []
    for chain in CHAINS[table]:
        policy = rules.policies[chain] if table == "filter" else "ACCEPT"
        met = rules.policy_counters[chain] if table == "filter" else Counter()
        lines = [
            f"Chain {chain} (policy {policy} {_short(met.packets)} packets, {_short(met.bytes)} bytes)",
            " pkts bytes target     prot opt in     out     source               destination         ",
        ]
        lines += [_rule_line(rule, count) for rule, count in _of_chain(rules, table, chain)]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def iptables_rules(rules: Netfilter, table: str = "filter") -> str:
    """What ``iptables -t TABLE -S`` says: the commands that make these rules."""
    lines = [
        f"-P {chain} {rules.policies[chain] if table == 'filter' else 'ACCEPT'}" for chain in CHAINS[table]
    ]
    lines += [
        f"-A {rule.specification}" for chain in CHAINS[table] for rule, _ in _of_chain(rules, table, chain)
    ]
    return "\n".join(lines)


def nft_ruleset(rules: Netfilter) -> str:
    """What ``nft list ruleset`` says of rules that iptables made: the same rules in nftables' own language."""
    tables: list[str] = []
    for table, names in _existing_chains(rules).items():
        chains = []
        for chain in names:
            policy = rules.policies[chain].lower() if table == "filter" else "accept"
            lines = [f"\t\ttype {table} hook {chain.lower()} priority {_PRIORITIES[chain]}; policy {policy};"]
            lines += [f"\t\t{_nft_rule(rule, count)}" for rule, count in _of_chain(rules, table, chain)]
            chains.append("\n".join([f"\tchain {chain} {{", *lines, "\t}"]))
        tables.append(f"table ip {table} {{\n" + "\n\n".join(chains) + "\n}")
    return "\n".join(tables)


def conntrack_list(conntrack: Conntrack, now: float) -> str:
    """What ``conntrack -L`` says: the conversations being tracked; `now` is the network's time."""
    return "\n".join(_conversation(entry, now) for entry in conntrack.entries())


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


def _is_vif(interface: Interface) -> bool:
    return interface.name.startswith("vif")


def _has_ports_up(host: Host, interface: Interface) -> bool:
    """A bridge has a carrier if one of its ports has."""
    bridge = host.bridges.get(interface.name)
    return bridge is None or any(port.carrier for port in bridge.ports.values())


def _flags(interface: Interface, carrier: bool = True) -> str:
    if interface.name == "lo":
        return "LOOPBACK,UP,LOWER_UP"
    if not interface.up:
        return "BROADCAST,MULTICAST"
    if interface.carrier and carrier:
        return "BROADCAST,MULTICAST,UP,LOWER_UP"
    return "NO-CARRIER,BROADCAST,MULTICAST,UP"


def _link_line(host: Host, interface: Interface, mode: str = "") -> str:
    carrier = interface.carrier and _has_ports_up(host, interface)
    if interface.name == "lo":
        mtu, qdisc, state = 65536, "noqueue", "UNKNOWN"
    else:
        queues = "noqueue" if interface.name in host.bridges else "mq" if _is_vif(interface) else "pfifo_fast"
        mtu, qdisc, state = interface.mtu, queues, "UP" if carrier else "DOWN"
    master = f" master {interface.master}" if interface.master else ""
    return (
        f"{interface.index}: {interface.name}: <{_flags(interface, carrier)}> mtu {mtu} "
        f"qdisc {qdisc}{master} state {state} {mode}group default qlen 1000"
    )


def _hardware_line(interface: Interface) -> str:
    kind, broadcast = ("loopback", interface.mac) if interface.name == "lo" else ("ether", BROADCAST)
    return f"    link/{kind} {interface.mac} brd {broadcast}"


def _bridge_id(bridge: Bridge) -> str:
    return "8000." + (bridge.device.mac.replace(":", "") if bridge.ports else "0" * 12)


# --- rules and conversations ---


def _existing_chains(rules: Netfilter) -> dict[str, list[str]]:
    """The tables and chains that the kernel has, in the order in which they were made."""
    made = [(rule.table, rule.chain) for rule, _ in rules.rules]
    made += [("filter", chain) for chain, policy in rules.policies.items() if policy != "ACCEPT"]
    found: dict[str, list[str]] = {}
    for table, chain in dict.fromkeys(made):
        found.setdefault(table, []).append(chain)
    return found


def _of_chain(rules: Netfilter, table: str, chain: str) -> Iterable[tuple[Rule, Counter]]:
    return ((rule, count) for rule, count in rules.rules if (rule.table, rule.chain) == (table, chain))


def _rule_line(rule: Rule, count: Counter) -> str:
    details = []
    if rule.dport:
        details.append(f"{rule.protocol} dpt:{rule.dport}")
    if rule.states:
        details.append(f"ctstate {','.join(rule.states)}")
    if rule.to:
        details.append(f"to:{rule.to}")
    line = (
        f"{_short(count.packets):>5} {_short(count.bytes):>5} {rule.target:<9}  "
        f"{PROTOCOLS[rule.protocol]:<3}  --  {rule.input or '*':<6} {rule.output or '*':<6}  "
        f"{_network(rule.source):<19}  {_network(rule.destination):<19}"
    )
    return f"{line}  {' '.join(details)}" if details else f"{line} "


_PRIORITIES = {"PREROUTING": "dstnat", "POSTROUTING": "srcnat", "FORWARD": "filter"}


def _nft_rule(rule: Rule, count: Counter) -> str:
    words = []
    for key, value in (("iifname", rule.input), ("oifname", rule.output)):
        words += [f'{key} "{value}"'] if value else []
    for key, value in (("saddr", rule.source), ("daddr", rule.destination)):
        words += [f"ip {key} {_network(value)}"] if value != "0.0.0.0/0" else []
    if rule.dport:
        words.append(f"{rule.protocol} dport {rule.dport}")
    elif rule.protocol != "all":
        words.append(f"ip protocol {rule.protocol}")
    if rule.states:
        words.append(f"ct state {','.join(state.lower() for state in rule.states)}")
    words.append(f"counter packets {count.packets} bytes {count.bytes} {rule.target.lower()}")
    if rule.to:
        words.append(f"to {rule.to}")
    return " ".join(words)


def _network(text: str) -> str:
    return text.removesuffix("/32")


def _short(number: int) -> str:
    """A count as iptables shortens it: in thousands, millions … (of 1000) above 99 999."""
    for suffix in ("", "K", "M", "G"):
        if number <= (99_999 if not suffix else 9_999):
            return f"{number}{suffix}"
        number = (number + 500) // 1000
    return f"{number}T"


def _conversation(entry: Conversation, now: float) -> str:
    protocol = entry.original.protocol
    name = {ICMP: "icmp", TCP: "tcp", UDP: "udp"}[protocol]
    state = f"{entry.state} " if protocol == TCP else ""
    words = [
        f"{name:<8} {protocol} {max(0, int(entry.expires - now))} {state}{_half(entry.original)}",
        *([] if entry.replied else ["[UNREPLIED]"]),
        _half(entry.reply),
        *(["[ASSURED]"] if entry.assured else []),
        "mark=0 use=1",
    ]
    return " ".join(words)


def _half(side: Tuple) -> str:
    ends = f"src={side.source} dst={side.destination}"
    if side.protocol == ICMP:
        return f"{ends} type={side.icmp_type} code=0 id={side.sport}"
    return f"{ends} sport={side.sport} dport={side.dport}"


def _milliseconds(seconds: float) -> str:
    """A round-trip time as ping prints it: three digits or more, no false precision."""
    value = seconds * 1000
    if value >= 99.95:
        return f"{value:.0f}"
    if value >= 9.995:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.9995 else f"{value:.3f}"
