"""The programs of dom0 about its network: ip, brctl, bridge, sysctl, iptables, nft, ping, and busybox's nc and daemons.

They change the model and print its tables, in the words of the real ones. What they cannot do raises `NotSimulated`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

import simpy

from xenlab.commands import XenlabError
from xenlab.hosts.sim.net.machines import Machines
from xenlab.hosts.sim.process import NotSimulated, Process
from xenlab.hosts.sim.world import World
from xenlab.networking import apps, rule_tables, tables
from xenlab.networking.host import Host
from xenlab.networking.netfilter import CHAINS, Rule
from xenlab.networking.routes import Route


def ip(world: World, process: Process) -> int:
    """Show or change interfaces, addresses, routes, neighbours and namespaces; run a program in one of these."""
    argv = [word for word in process.argv[1:] if word != "-4"]
    if argv[:2] == ["netns", "exec"] and len(argv) > 3:
        if argv[2] not in world.net.namespaces:
            process.fail(f'Cannot open network namespace "{argv[2]}": No such file or directory', 255)
        inner = Process(argv[3:], process.stdin)
        name = argv[3].rpartition("/")[2]
        if name not in PROGRAMS:
            raise NotSimulated(f"{name} in a network namespace")
        try:
            return PROGRAMS[name](world, inner, world.net.namespaces[argv[2]])
        finally:
            done = inner.completed(0)
            process.out(done.stdout)
            process.err(done.stderr)
    return _ip(world, process, world.net.dom0)


def _ip(world: World, process: Process, host: Host) -> int:
    argv = [word for word in process.argv[1:] if word != "-4"]
    match [_full(argv[0]) if argv else "", *argv[1:]]:
        case ["netns", "add", name]:
            if name in world.net.namespaces:
                process.fail(f'Cannot create namespace file "/var/run/netns/{name}": File exists')
            world.net.add_namespace(name)
        case ["netns", "del" | "delete", name]:
            if name not in world.net.namespaces:
                process.fail(
                    f'Cannot remove namespace file "/var/run/netns/{name}": No such file or directory'
                )
            world.net.remove_namespace(name)
        case ["link", "add", *rest]:
            _add_link(world.net, process, host, rest)
        case ["link", "del" | "delete", name] if _device(process, host, name) in host.bridges:
            host.remove_bridge(name)
        case ["link", "set", *rest]:
            _set_link(process, host, [word for word in rest if word != "dev"])
        case ["address", "add" | "del" as verb, address, "dev", device]:
            _change_address(process, host, verb, address, _device(process, host, device))
        case ["route", "add" | "del" as verb, destination, *rest]:
            _change_route(process, host, verb, destination, dict(zip(rest[::2], rest[1::2], strict=False)))
        case ["neigh", "flush", "all"]:
            for interface in host.interfaces.values():
                host.arp.flush(interface)
        case ["route"] | ["route", "show"]:
            _print(process, tables.ip_route(host))
        case ["neigh"] | ["neigh", "show"]:
            _print(process, tables.ip_neigh(host))
        case ["address"] | ["address", "show"]:
            _print(process, tables.ip_addr(host))
        case ["address", "show", "dev", device]:
            _print(process, tables.ip_addr(host, _device(process, host, device)))
        case ["link"] | ["link", "show"]:
            _print(process, tables.ip_link(host))
        case _:
            raise NotSimulated(" ".join(process.argv))
    return 0


def _full(word: str) -> str:
    """The name of an object that `ip` lets one shorten."""
    objects = ("address", "link", "route", "neigh", "netns")
    return next(
        (each for each in objects if word and each.startswith(word)), {"neighbour": "neigh"}.get(word, word)
    )


def _print(process: Process, text: str) -> None:
    if text:
        process.out(text + "\n")


def _device(process: Process, host: Host, name: str) -> str:
    if name not in host.interfaces:
        process.fail(f'Cannot find device "{name}"')
    return name


def _add_link(net: Machines, process: Process, host: Host, words: list[str]) -> None:
    match words:
        case [name, "type", "bridge", *_]:
            if name in host.interfaces:
                process.fail("RTNETLINK answers: File exists", 2)
            host.add_bridge(name)
        case [name, "address", mac, "type", "veth", "peer", "name", far, "address", far_mac, "netns", space]:
            if name in host.interfaces:
                process.fail("RTNETLINK answers: File exists", 2)
            other = net.namespaces[space]
            net.network.connect(host, name, other, far, name=name, near_mac=mac, far_mac=far_mac, kind="veth")
        case _:
            raise NotSimulated(" ".join(process.argv))


def _set_link(process: Process, host: Host, words: list[str]) -> None:
    interface = host.interfaces[_device(process, host, words[0])]
    match words[1:]:
        case ["up" | "down" as state]:
            host.set_up(interface, state == "up")
        case ["master", name]:
            if name not in host.bridges:
                process.fail(f'Error: argument "{name}" is wrong: Device does not exist\n')
            host.release(interface)
            host.bridges[name].add(interface)
        case ["nomaster"]:
            host.release(interface)
        case _:
            raise NotSimulated(" ".join(process.argv))


def _change_address(process: Process, host: Host, verb: str, address: str, device: str) -> None:
    interface = host.interfaces[device]
    own = [str(each) for each in interface.addresses]
    if verb == "add":
        if address in own:
            process.fail("RTNETLINK answers: File exists", 2)
        host.add_address(interface, address)
        return
    if address not in own:
        process.fail("RTNETLINK answers: Cannot assign requested address", 2)
    host.remove_address(interface, interface.addresses[own.index(address)])


def _change_route(process: Process, host: Host, verb: str, destination: str, given: dict[str, str]) -> None:
    gateway = given.get("via", "")
    leads = host.routes.lookup(gateway) if gateway else None
    device = given.get("dev") or (leads.device if leads else "")
    if not device:
        process.fail("Error: Nexthop has invalid gateway.", 2)
    route = Route.to(
        destination, _device(process, host, device), gateway=gateway, source=given.get("src", "")
    )
    same = [each for each in host.routes.entries() if each.destination == route.destination]
    if verb == "add":
        if same:
            process.fail("RTNETLINK answers: File exists", 2)
        host.routes.add(route)
    elif not same:
        process.fail("RTNETLINK answers: No such process", 2)
    else:
        host.routes.remove(same[0])


def sysctl(world: World, process: Process, host: Host) -> int:
    """Set forwarding, and proxy ARP of an interface."""
    key, _, value = process.argv[-1].partition("=")
    match key.split("."):
        case ["net", "ipv4", "ip_forward"]:
            host.forwarding = value == "1"
        case ["net", "ipv4", "conf", *device, "proxy_arp"]:
            name = ".".join(device)
            if name not in host.interfaces:
                path = "/proc/sys/" + key.replace(".", "/")
                process.fail(f"sysctl: cannot stat {path}: No such file or directory", 255)
            host.interfaces[name].proxy_arp = value == "1"
        case _:
            raise NotSimulated(" ".join(process.argv))
    process.out(f"{key} = {value}\n")
    return 0


def iptables(world: World, process: Process, host: Host) -> int:
    """Show or change the rules of a chain."""
    words = [word for word in process.argv[1:] if word != "-w"]
    table = "filter"
    if words[:1] == ["-t"]:
        table, words = words[1], words[2:]
    rules = host.netfilter
    match words:
        case ["-A", chain, *rest]:
            rules.append(_rule(process, table, chain, rest))
        case ["-D", chain, *rest]:
            gone = _rule(process, table, chain, rest)
            kept = [(rule, count) for rule, count in rules.rules if rule != gone]
            if len(kept) == len(rules.rules):
                process.fail("iptables: Bad rule (does a matching rule exist in that chain?).")
            rules.rules[:] = kept
        case ["-P", chain, policy]:
            rules.policies[chain] = policy
        case ["-S"]:
            _print(process, rule_tables.iptables_rules(rules, table))
        case ["-L", *rest] if set(rest) - set(CHAINS[table]) == {"-n", "-v"}:
            text = rule_tables.iptables_list(rules, table)
            chosen = [word for word in rest if word in CHAINS[table]]
            blocks = text.split("\n\n")
            shown = [each for each in blocks if not chosen or each.split()[1] in chosen]
            _print(process, "\n\n".join(shown))
        case _:
            raise NotSimulated(" ".join(process.argv))
    return 0


_RULE_WORDS = {
    "-s": "source",
    "-d": "destination",
    "-i": "input",
    "-o": "output",
    "-p": "protocol",
    "-j": "target",
    "--dport": "dport",
    "--ctstate": "states",
    "--to-destination": "to",
}


def _rule(process: Process, table: str, chain: str, words: Sequence[str]) -> Rule:
    given: dict[str, Any] = {}
    for option, value in zip(words[::2], words[1::2], strict=True):
        if option == "-m":
            continue
        if option not in _RULE_WORDS:
            raise NotSimulated(" ".join(process.argv))
        given[_RULE_WORDS[option]] = value
    if "dport" in given:
        given["dport"] = int(given["dport"])
    if "states" in given:
        given["states"] = tuple(given["states"].split(","))
    return Rule(table, chain, **given)


def nft(world: World, process: Process, host: Host) -> int:
    """Print all rules in nftables' own language."""
    if process.argv[1:] != ("list", "ruleset"):
        raise NotSimulated(" ".join(process.argv))
    _print(process, rule_tables.nft_ruleset(host.netfilter))
    return 0


def brctl(world: World, process: Process, host: Host) -> int:
    """Print the bridges, some of them, or what one has learnt."""
    if process.argv[1] == "show" and process.argv[2:]:
        return _show_bridges(process, host, process.argv[2:])
    return _show(
        process,
        {
            "show": lambda: tables.brctl_show(host),
            "showmacs": lambda: tables.brctl_showmacs(host, process.argv[-1]),
        },
        process.argv[1],
    )


def _show_bridges(process: Process, host: Host, names: Sequence[str]) -> int:
    known = [name for name in names if name in host.bridges]
    if known:
        _print(process, tables.brctl_show(host, known))
    for name in names:
        if name not in host.interfaces:
            process.err(f"bridge {name} does not exist!\n")
        elif name not in host.bridges:
            process.err(f"device {name} is not a bridge!\n")
    return int(known != list(names))


def bridge(world: World, process: Process, host: Host) -> int:
    """Print the ports of bridges, or what one has learnt."""
    return _show(
        process,
        {"link": lambda: tables.bridge_link(host), "fdb": lambda: tables.bridge_fdb(host, process.argv[-1])},
        process.argv[1],
    )


def _show(process: Process, shows: dict[str, Callable[[], str]], what: str) -> int:
    if what not in shows:
        raise NotSimulated(" ".join(process.argv))
    try:
        _print(process, shows[what]())
    except XenlabError as error:
        process.fail(str(error))
    return 0


def ping(world: World, process: Process, host: Host) -> int:
    """Ask somebody whether he is there (iputils)."""
    count, patience, target = 1, 10.0, process.argv[-1]
    for option, value in zip(process.argv[1:-1:2], process.argv[2:-1:2], strict=True):
        if option == "-c":
            count = int(value)
        elif option == "-W":
            patience = float(value)
        else:
            raise NotSimulated(" ".join(process.argv))
    pinged = world.net.network.run(
        apps.ping(host, target, count=count, timeout=patience, ident=world.new_pid())
    )
    if pinged.refusal:
        process.fail(tables.ping(pinged), 2)
    process.out(tables.ping(pinged) + "\n")
    return 0 if pinged.received else 1


def busybox(world: World, process: Process, host: Host) -> int:
    """Run busybox's nc, or start and stop tcpdump in the background."""
    match process.argv[1:]:
        case ["nc", "-w", seconds, target, port]:
            return _nc(world, process, host, float(seconds), target, int(port))
        case ["start-stop-daemon", "-p", _, "-x", "/usr/bin/tcpdump", "-S", "-b", "-m", "--", *told]:
            return _tcpdump(world, process, host, told)
        case ["start-stop-daemon", "-p", _, "-x", "/usr/bin/tcpdump", "-K"]:
            return 0
    raise NotSimulated(" ".join(process.argv))


def _nc(world: World, process: Process, host: Host, patience: float, target: str, port: int) -> int:
    def conversation() -> Generator[simpy.Event, Any, tuple[str, bytes]]:
        connection = host.tcp.connect(target, port)
        yield connection.opened | host.env.timeout(patience)
        if not connection.opened.triggered:
            connection.close()
            return "Connection timed out", b""
        if connection.opened.value:
            return connection.opened.value, b""
        sent, got = process.stdin.encode(), b""
        connection.send(sent)
        end = host.env.timeout(patience)
        while len(got) < len(sent):
            reply = connection.read()
            yield reply | end
            if not reply.triggered or not reply.value:
                break  # too late, or the other side has ended
            got += reply.value
        connection.close()
        return "", got

    trouble, reply = world.net.network.run(conversation())
    if trouble:
        process.fail(f"nc: can't connect to remote host ({target}): {trouble}")
    process.out(reply.decode())
    return 0


def _tcpdump(world: World, process: Process, host: Host, told: Sequence[str]) -> int:
    words = [word for word in told if word not in ("-U", "--immediate-mode")]
    given = dict(zip(words[:-1:2], words[1::2], strict=False))
    file = given["-w"]
    try:
        world.net.capture(file, host, given["-i"])
    except KeyError:
        return 0  # tcpdump has gone to the background and ends there, unheard
    world.files.write(file, lambda: world.net.captured(file))
    return 0


#: By name; each takes the host in whose network it runs.
PROGRAMS: dict[str, Callable[[World, Process, Host], int]] = {
    "ip": _ip,
    "sysctl": sysctl,
    "iptables": iptables,
    "nft": nft,
    "brctl": brctl,
    "bridge": bridge,
    "ping": ping,
    "busybox": busybox,
}


def run(world: World, process: Process) -> int:
    """Run one of these programs in dom0's own network."""
    name = process.argv[0].rpartition("/")[2]
    return ip(world, process) if name == "ip" else PROGRAMS[name](world, process, world.net.dom0)
