"""Guests bridged, routed and behind NAT by Xen's own scripts: the simulator sends the frames that a real dom0 sends."""

import re
from dataclasses import dataclass
from functools import partial

import pytest

from xenlab.networking.dissect import fingerprint
from xenlab.networking.driver import CABLE, CLIENT, DOM0, KINDS, Lan

ABSENT = "192.168.1.77"


@dataclass(frozen=True)
class Seen:
    """What came of a step, and the frames on an interface, without what differs from run to run."""

    outcome: bool
    frames: list[str]


def told(capture, vif):
    """The frames in order; masked are the vif's name, identifiers, and the ports that a kernel chooses."""
    lines = (re.sub(r"\bid \d+", "id *", line).replace(vif, "vif") for line in fingerprint(capture.frames))
    return [re.sub(r"\.(3[2-9]|[45]\d|60)\d{3}\b", ".PORT", line) for line in without_probes(lines)]


def without_probes(lines):
    """Leave out what only tells how much time has passed: five seconds after a neighbour was last heard of, Linux asks
    that one alone whether it is still there (neighbour.c, DELAY and PROBE), and is answered."""
    asked = set()
    for line in lines:
        ends, arp, question = line.partition(" ARP, Request who-has ")
        if arp and "ff:ff:ff:ff:ff:ff" not in ends:
            asked.add(question.split()[0])
        elif not any(f"ARP, Reply {address} is-at" in line for address in asked):
            yield line


def forget(host):
    """Let dom0 and the client ask for all addresses anew."""
    host.run(["ip", "neigh", "flush", "all"])
    host.run(["ip", "netns", "exec", "client", "ip", "neigh", "flush", "all"])


def watch(host, lan, vif, interface, act):
    """Do something while an interface is captured, with nobody's address known beforehand.

    Once more if a guest just then asked the client alone whether it is still there: that knows the guest again.
    """
    for _ in range(3):
        with lan.capture(interface) as capture:
            forget(host)
            reached = act()
        asked = [line for line in fingerprint(capture.frames) if " ARP, Request" in line]
        if not asked or "ff:ff:ff:ff:ff:ff" in asked[0]:
            break
    return Seen(reached.ok, told(capture, vif))


def play_bridge(host, lan, web, asker):
    vif = f"vif{web.id}.0"

    step = partial(watch, host, lan, vif)
    guest = lan.address(1)
    yield "client pings the guest: on its vif", step(vif, lambda: lan.ping("client", guest))
    yield "client pings the guest: on the cable", step(CABLE, lambda: lan.ping("client", guest))
    yield "dom0 pings the guest", step(vif, lambda: lan.ping("dom0", guest))
    yield "client pings dom0", step(CABLE, lambda: lan.ping("client", DOM0))
    yield "a closed port", step(vif, lambda: lan.connect("client", guest, port=80))
    yield "nobody there", step(CABLE, lambda: lan.ping("client", ABSENT, patience=4))
    yield "the answer comes back", Seen(lan.connect("client", guest).ok, [])
    host.run("ip link add xenbr1 type bridge".split())
    host.run(["ip", "link", "set", vif, "master", "xenbr1"])
    yield "the wrong bridge", step(CABLE, lambda: lan.ping("client", guest, patience=4))
    host.run(["ip", "link", "set", vif, "master", "xenbr0"])
    host.run("ip link del xenbr1".split())
    yield "the right one again", step(vif, lambda: lan.ping("client", guest))


def play_route(host, lan, web, asker):
    vif, guest = f"vif{web.id}.0", lan.address(1)

    step = partial(watch, host, lan, vif)
    yield "dom0 answers for the guest", step(CABLE, lambda: lan.ping("client", guest, patience=4))
    yield "a closed port behind the router", step(CABLE, lambda: lan.connect("client", guest, port=80))
    yield "the answer comes back", Seen(lan.connect("client", guest).ok, [])
    host.run(["sysctl", "-w", f"net.ipv4.conf.{CABLE}.proxy_arp=0"])
    yield "no proxy ARP", step(CABLE, lambda: lan.ping("client", guest, patience=4))
    host.run(["sysctl", "-w", f"net.ipv4.conf.{CABLE}.proxy_arp=1"])
    host.run(["sysctl", "-w", "net.ipv4.ip_forward=0"])
    yield "no forwarding", step(CABLE, lambda: lan.ping("client", guest, patience=4))
    host.run(["sysctl", "-w", "net.ipv4.ip_forward=1"])


def play_nat(host, lan, web, asker):
    vif = f"vif{asker.id}.0"

    def listen(interface):
        """One ping of those that the second guest sends each second; what ARP asks meanwhile is another matter."""
        with lan.capture(interface) as capture:
            host.wait(3.5)
        lines = dict.fromkeys(line for line in told(capture, vif) if " ARP" not in line)
        return Seen(any("echo reply" in line for line in lines), list(lines))

    yield "the guest asks: on its vif", listen(vif)
    yield "the guest asks: on the cable", listen(CABLE)
    forward = "iptables -P FORWARD".split()
    host.run([*forward, "DROP"])
    yield "FORWARD drops", listen(CABLE)
    host.run([*forward, "ACCEPT"])
    host.run(["sysctl", "-w", "net.ipv4.ip_forward=0"])
    yield "no forwarding", listen(CABLE)
    host.run(["sysctl", "-w", "net.ipv4.ip_forward=1"])
    yield "nobody finds the guest", Seen(lan.ping("client", lan.address(1)).ok, [])
    yield "dom0 does", Seen(lan.ping("dom0", lan.address(1)).ok, [])
    conversations = lan.conversations()
    translated = conversations[conversations["source"] == lan.address(2)]
    yield "conversations", Seen(bool(translated.answered.any()), sorted(set(translated["answer to"])))
    rule = "POSTROUTING -s 10.0.0.0/16 -o lan0 -j MASQUERADE".split()
    host.run(["iptables", "-t", "nat", "-D", *rule])
    host.wait(1)
    yield "no MASQUERADE", listen(CABLE)
    host.run(["iptables", "-t", "nat", "-A", *rule])


PLAYS = {"bridge": play_bridge, "route": play_route, "nat": play_nat}


def play(host, kind):
    """Two guests on a LAN of this kind: one answers, the other pings the client each second."""
    with Lan(host, kind) as lan:
        web = host.create(name="net-web", workload="ping", **lan.guest(1))
        asker = None
        if kind == "nat":
            asker = host.create(name="net-asker", workload=f"ping:{CLIENT}", **lan.guest(2))
            asker.wait_for("bytes from", 120)
        web.wait_for("network: eth0", 120)
        while not lan.ping("dom0", lan.address(1)).ok:
            host.wait(0.2)
        seen = dict(PLAYS[kind](host, lan, web, asker))
        seen["routes"] = Seen(True, [str(row) for row in _routes(lan, web, asker)])
        for guest in filter(None, (web, asker)):
            guest.destroy()
    return seen


def _routes(lan, web, asker):
    for row in lan.routes().itertuples(index=False):
        text = " ".join(row)
        for guest in filter(None, (web, asker)):
            text = text.replace(f"vif{guest.id}.0", guest.name)
        yield text


@pytest.fixture(scope="module")
def on_sim(sim):
    return {kind: play(sim, kind) for kind in KINDS}


def test_what_is_simulated_comes_out_as_it_must(on_sim):
    """Without a box this much is known: who reaches whom."""
    reached = {
        f"{kind}: {name}": seen.outcome for kind, all_ in on_sim.items() for name, seen in all_.items()
    }
    failing = {name for name, outcome in reached.items() if not outcome}
    assert failing == {
        "bridge: a closed port",
        "bridge: nobody there",
        "bridge: the wrong bridge",
        "route: a closed port behind the router",
        "route: no proxy ARP",
        "route: no forwarding",
        "nat: FORWARD drops",
        "nat: no forwarding",
        "nat: nobody finds the guest",
        "nat: no MASQUERADE",
    }


@pytest.mark.box
@pytest.mark.parametrize("kind", KINDS)
def test_a_real_dom0_sends_the_same_frames(box, on_sim, kind):
    for _ in range(3):
        real = play(box, kind)
        if real == on_sim[kind]:
            break  # else TCP or ARP did not wait long enough for a busy machine, or a guest asked just then
    assert list(real) == list(on_sim[kind])
    for name, seen in real.items():
        assert seen == on_sim[kind][name], name


def test_a_rate_is_kept_and_only_where_one_is_given(host):
    """1 Mbit/s is 125,000 bytes a second; netback gives a little at the start (burst), commands take a little time.

    What else runs on this machine only slows a guest: the fastest of three is nearest to what netback allows.
    """
    with Lan(host, "bridge") as lan:
        guests = [
            host.create(name="net-free", workload="ping", **lan.guest(1)),
            host.create(name="net-held", workload="ping", **lan.guest(2, "rate=1Mb/s")),
        ]
        for guest in guests:
            guest.wait_for("network: eth0", 120)
        for number in (1, 2):
            while not lan.connect("client", lan.address(number)).ok:
                host.wait(0.3)
        free, held = (max(lan.rate(lan.address(number)) for _ in range(3)) for number in (1, 2))
        assert held == pytest.approx(125_000, rel=0.25)
        assert free > 2 * held
        for guest in guests:
            guest.destroy()


GONE = {
    "ip link del xenbr1": 'Cannot find device "xenbr1"',
    "brctl show xenbr1": "bridge xenbr1 does not exist!",
    f"brctl show {CABLE}": f"device {CABLE} is not a bridge!",
}


def test_an_interface_is_a_port_of_one_bridge_and_of_none_when_that_is_gone(host):
    def port_of(name):
        """The bridge that an interface is a port of, as `ip link` tells."""
        lines = host.run(["ip", "link"]).stdout.splitlines()
        return re.findall(r"master (\S+)", next(line for line in lines if f" {name}" in line))

    with Lan(host, "bridge"):
        assert port_of(CABLE) == ["xenbr0"]
        host.run("ip link add xenbr1 type bridge".split())
        host.run(["ip", "link", "set", CABLE, "master", "xenbr1"])
        assert port_of(CABLE) == ["xenbr1"]
        assert CABLE not in host.run("brctl show xenbr0".split()).stdout
        host.run("ip link del xenbr1".split())
        assert port_of(CABLE) == []
        for command, complaint in GONE.items():
            done = host.run(command.split(), check=False)
            assert (done.status, done.stderr) == (1, complaint + "\n")


def test_a_lan_leaves_nothing(host):
    before = host.run(["ip", "-4", "route"]).stdout
    with Lan(host, "nat"):
        assert host.run(["ip", "-4", "route"]).stdout != before
    assert host.run(["ip", "-4", "route"]).stdout == before
    with Lan(host, "bridge") as lan:
        assert lan.ping("client", DOM0).ok, "and another one can be laid"
