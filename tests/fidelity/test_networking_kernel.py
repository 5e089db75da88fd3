"""The model against the Linux kernel: the same scenario gives the same frames, in the same order, on every
link.

Each scenario is played on the model and, at the same time for all, on real network namespaces joined by veth
pairs (`linux_network.py`), and the captures are compared after masking what is random. veth stands for the
vif; the bridge, ARP, routing, NAT, TCP and ICMP are those that a Linux dom0 and its guests run.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from xenlab.networking import rule_tables, tables
from xenlab.networking.dissect import fingerprint
from xenlab.networking.network import Network
from xenlab.networking.scenarios import SCENARIOS, Scenario

DEADLINE = 60.0
UNSHARE = shlex.split("unshare --user --map-root-user --net --mount --pid --fork --kill-child --mount-proc")
PLAYABLE = [scenario for scenario in SCENARIOS.values() if not scenario.model_only]


def describe(scenario: Scenario) -> dict[str, Any]:
    """A scenario as data: what `linux_network.py` reads."""
    network = scenario.build()
    return {
        "hosts": [_host(network, name) for name in network.hosts],
        "links": [
            {
                "near": (link.near.host, link.near.name, link.near.mac),
                "far": (link.far.host, link.far.name, link.far.mac),
                "address": str(link.far.addresses[0].ip) if link.far.addresses else "",
            }
            for link in network.links.values()
        ],
        "link_names": {f"{link.near.host} {link.near.name}": name for name, link in network.links.items()},
        "actions": [{"verb": type(action).__name__, **asdict(action)} for action in scenario.actions],
        "servers": scenario.servers,
        "tables": {name: [command.split() for command in _tables(network, name)] for name in network.hosts},
    }


def _tables(network: Network, name: str) -> dict[str, Callable[[], str]]:
    """The commands whose output is compared on a host, each with what the model prints for it."""
    host = network.hosts[name]
    rules, now = host.netfilter, network.env.now
    commands: dict[str, Callable[[], str]] = {
        "ip -4 route": lambda: tables.ip_route(host),
        "ip -4 neigh": lambda: tables.ip_neigh(host),
    }
    if host.bridges:
        bridge = next(iter(host.bridges))
        commands["brctl show"] = lambda: tables.brctl_show(host)
        commands[f"bridge fdb show br {bridge}"] = lambda: tables.bridge_fdb(host, bridge)
    if rules.rules:
        commands["iptables -t nat -L -n -v"] = lambda: rule_tables.iptables_list(rules, "nat")
        commands["iptables -L -n -v"] = lambda: rule_tables.iptables_list(rules)
        commands["iptables -t nat -S"] = lambda: rule_tables.iptables_rules(rules, "nat")
        commands["nft list ruleset"] = lambda: rule_tables.nft_ruleset(rules)
        commands["conntrack -L"] = lambda: rule_tables.conntrack_list(rules.conntrack, now)
    return commands


def _comparable(command: str, text: str) -> list[str]:
    """A table without what depends on the moment: lifetimes, multicast entries, random identifiers, hash
    order.
    """
    lines = text.splitlines()
    if command.startswith("bridge"):
        return sorted(
            line for line in lines if "master" in line and " vlan 1 " not in line
        )  # some kernels have no VLANs
    if command.startswith("ip -4 neigh"):
        return sorted(lines)
    if command.startswith("conntrack"):
        return sorted(re.sub(r"^(\w+ +\d+) \d+|\bid=\d{4,}|use=\d", r"\1 *", line) for line in lines)
    return lines


def _host(network: Network, name: str) -> dict[str, Any]:
    host = network.hosts[name]
    present = {
        interface.name
        for interface in host.interfaces.values()
        if interface.name != "lo" and interface.medium is not None
    }
    return {
        "name": name,
        "forwarding": host.forwarding,
        "interfaces": [
            {
                "name": interface.name,
                "addresses": [str(address) for address in interface.addresses],
                "proxy_arp": interface.proxy_arp,
            }
            for interface in host.interfaces.values()
            if interface.name in present
        ],
        "bridges": [
            {"name": bridge.name, "ports": list(bridge.ports), "ageing_time": bridge.table.ageing_time}
            for bridge in host.bridges.values()
        ],
        "routes": [
            [route.text, "dev", route.device]
            + (["via", route.gateway] if route.gateway else [])
            + (["src", route.source] if route.source else [])
            + (["metric", str(route.metric)] if route.metric else [])
            for route in host.routes.entries()
            if not route.kernel and route.device in present
        ],
        "rules": [rule.command.split() for rule, _ in host.netfilter.rules]
        + [
            ["iptables", "-P", chain, "DROP"]
            for chain, policy in host.netfilter.policies.items()
            if policy == "DROP"
        ],
    }


def play_on_linux(scenario: Scenario) -> dict[str, Any]:
    script = Path(__file__).with_name("linux_network.py")
    done = subprocess.run(
        [*UNSHARE, sys.executable, str(script)],
        input=json.dumps(describe(scenario)),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert done.returncode == 0, f"{scenario.name}: {done.stderr}"
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def on_linux() -> dict[str, dict[str, Any]]:
    """Every scenario's captures and outcomes on the kernel, four at a time.

    Where an answer came too late, on a machine that does much else, the scenario is played once more by itself.
    """
    probe = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, timeout=DEADLINE)
    if probe.returncode:
        pytest.skip(f"this kernel forbids unprivileged network namespaces: {probe.stderr.strip()}")
    with ThreadPoolExecutor(4) as pool:
        played = dict(zip(PLAYABLE, pool.map(play_on_linux, PLAYABLE), strict=True))
    for scenario, found in played.items():
        if tuple(found["outcomes"]) != scenario.outcomes:
            played[scenario] = play_on_linux(scenario)
    return {scenario.name: found for scenario, found in played.items()}


@pytest.mark.parametrize("scenario", PLAYABLE, ids=lambda scenario: scenario.name)
def test_the_model_sends_the_frames_that_linux_sends(
    scenario: Scenario, on_linux: dict[str, dict[str, Any]]
) -> None:
    model, linux = scenario.play(), on_linux[scenario.name]
    assert tuple(linux["outcomes"]) == model.outcomes == scenario.outcomes
    links = {record.link for record in model.network.records} | {
        name for name, seen in linux["frames"].items() if seen
    }
    for link in sorted(links):
        expected = fingerprint(bytes.fromhex(frame) for _, frame in linux["frames"].get(link, []))
        assert fingerprint(r.frame for r in model.network.records if r.link == link) == expected, link


@pytest.mark.parametrize("scenario", PLAYABLE, ids=lambda scenario: scenario.name)
def test_the_model_prints_the_tables_that_linux_prints(
    scenario: Scenario, on_linux: dict[str, dict[str, Any]]
) -> None:
    network = scenario.play().network
    for name, host in network.hosts.items():
        if any(interface.medium is None for interface in host.interfaces.values() if interface.name != "lo"):
            continue  # an interface without its cable does not exist on the kernel's side
        for command, printed in _tables(network, name).items():
            linux = on_linux[scenario.name]["tables"][name][command]
            assert _comparable(command, printed()) == _comparable(command, linux), f"{name}: {command}"
