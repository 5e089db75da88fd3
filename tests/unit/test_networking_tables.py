"""Tables in the words of Debian 12: what the real commands printed, recorded, for hosts in the same state."""

from __future__ import annotations

import pytest

from xenlab.commands import XenlabError
from xenlab.networking import rule_tables, tables
from xenlab.networking.apps import ping
from xenlab.networking.host import Host
from xenlab.networking.netfilter import Counter, Rule
from xenlab.networking.scenarios import SCENARIOS
from xenlab.networking.topologies import bridge, guest_ip, nat, routed


def dom0_after(scenario: str) -> tuple[Host, float]:
    network = SCENARIOS[scenario].play().network
    return network.hosts["dom0"], network.env.now


IPTABLES_NAT = """\
Chain PREROUTING (policy ACCEPT 0 packets, 0 bytes)
 pkts bytes target     prot opt in     out     source               destination         
    1    60 DNAT       6    --  lan0   *       0.0.0.0/0            0.0.0.0/0            tcp dpt:8080 to:10.0.1.1:7777

Chain INPUT (policy ACCEPT 0 packets, 0 bytes)
 pkts bytes target     prot opt in     out     source               destination         

Chain OUTPUT (policy ACCEPT 0 packets, 0 bytes)
 pkts bytes target     prot opt in     out     source               destination         

Chain POSTROUTING (policy ACCEPT 0 packets, 0 bytes)
 pkts bytes target     prot opt in     out     source               destination         
    0     0 MASQUERADE  0    --  *      lan0    10.0.0.0/16          0.0.0.0/0           """  # noqa: W291

IPTABLES_FORWARD = """\
Chain FORWARD (policy DROP 1 packets, 84 bytes)
 pkts bytes target     prot opt in     out     source               destination         
    1    84 ACCEPT     0    --  *      *       0.0.0.0/0            0.0.0.0/0            ctstate RELATED,ESTABLISHED
    1    84 ACCEPT     0    --  vif1.0 lan0    10.0.0.0/16          0.0.0.0/0           """  # noqa: W291


def test_iptables_lists_rules_and_what_met_them() -> None:
    dom0, _ = dom0_after("nat: port forwarding")
    assert rule_tables.iptables_list(dom0.netfilter, "nat") == IPTABLES_NAT
    dom0, _ = dom0_after("nat: FORWARD allowed by state")
    assert rule_tables.iptables_list(dom0.netfilter).split("\n\n")[1] == IPTABLES_FORWARD


def test_large_counters_are_shortened() -> None:
    rules = nat(guests=1).hosts["dom0"].netfilter
    rules.rules = [(Rule("nat", "POSTROUTING", "MASQUERADE"), Counter(99_999, 123_456_789))]
    assert rule_tables.iptables_list(rules, "nat").splitlines()[-1].startswith("99999  123M MASQUERADE")
    rules.rules = [(Rule("nat", "POSTROUTING", "MASQUERADE"), Counter(100_000, 5_000_000))]
    assert rule_tables.iptables_list(rules, "nat").splitlines()[-1].startswith(" 100K 5000K MASQUERADE")


def test_conntrack_lists_conversations() -> None:
    dom0, now = dom0_after("nat: port forwarding")
    assert rule_tables.conntrack_list(dom0.netfilter.conntrack, now) == (
        "tcp      6 119 TIME_WAIT src=192.168.1.50 dst=192.168.1.10 sport=40001 dport=8080 "
        "src=10.0.1.1 dst=192.168.1.50 sport=7777 dport=40001 [ASSURED] mark=0 use=1"
    )
    dom0, now = dom0_after("nat: nobody there")
    assert rule_tables.conntrack_list(dom0.netfilter.conntrack, now) == (
        "icmp     1 26 src=10.0.1.1 dst=192.168.1.99 type=8 code=0 id=1 [UNREPLIED] "
        "src=192.168.1.99 dst=192.168.1.10 type=0 code=0 id=1 mark=0 use=1"
    )


def test_ip_addr_of_a_vif_that_vif_route_has_set_up() -> None:
    dom0 = routed(guests=1).hosts["dom0"]
    assert tables.ip_addr(dom0, "vif1.0") == (
        "3: vif1.0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq state UP group default qlen 1000\n"
        "    inet 192.168.1.10/32 brd 192.168.1.255 scope global vif1.0\n"
        "       valid_lft forever preferred_lft forever"
    )
    assert tables.ip_route(dom0).splitlines() == [
        "192.168.1.0/24 dev lan0 proto kernel scope link src 192.168.1.10 ",
        "192.168.1.101 dev vif1.0 scope link src 192.168.1.10 metric 2 ",
    ]


def test_a_bridge_and_its_ports() -> None:
    network = bridge(guests=2)
    dom0 = network.hosts["dom0"]
    network.run(ping(network.hosts["guest1"], guest_ip(2)))
    assert tables.brctl_show(dom0) == (
        "bridge name\tbridge id\t\tSTP enabled\tinterfaces\n"
        "xenbr0\t\t8000.020000000001\tno\t\tlan0\n"
        "\t\t\t\t\t\t\tvif1.0\n"
        "\t\t\t\t\t\t\tvif2.0"
    )
    dom0.add_bridge("xenbr1")
    assert tables.brctl_show(dom0).splitlines()[-1] == "xenbr1\t\t8000.000000000000\tno\t\t"
    assert tables.brctl_showmacs(dom0, "xenbr0").splitlines()[:3] == [
        "port no\tmac addr\t\tis local?\tageing timer",
        "  2\t00:16:3e:00:00:01\tno\t\t   0.00",
        "  3\t00:16:3e:00:00:02\tno\t\t   0.00",
    ]
    assert tables.bridge_link(dom0).splitlines()[1] == (
        "3: vif1.0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 master xenbr0 state forwarding priority 32 cost 100 "
    ).replace("3:", "4:", 1)
    assert "xenbr0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP mode" in tables.ip_link(
        dom0
    )
    assert "xenbr1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UNKNOWN" in tables.ip_link(
        dom0
    )


def test_a_device_that_is_not_there_is_named_in_each_tools_own_words() -> None:
    dom0 = bridge(guests=1).hosts["dom0"]
    with pytest.raises(XenlabError, match=r'^Device "eth7" does not exist\.$'):
        tables.ip_addr(dom0, "eth7")
    with pytest.raises(XenlabError, match=r'^Cannot find bridge device "xenbr7"$'):
        tables.bridge_fdb(dom0, "xenbr7")
    with pytest.raises(XenlabError, match=r"^read of forward table failed: No such device$"):
        tables.brctl_showmacs(dom0, "xenbr7")


def test_ping_reports_what_came_back() -> None:
    network = bridge(guests=2)
    guest = network.hosts["guest1"]
    assert tables.ping(network.run(ping(guest, guest_ip(2), count=2))) == (
        "PING 192.168.1.102 (192.168.1.102) 56(84) bytes of data.\n"
        "64 bytes from 192.168.1.102: icmp_seq=1 ttl=64 time=0.160 ms\n"
        "64 bytes from 192.168.1.102: icmp_seq=2 ttl=64 time=0.080 ms\n"
        "\n"
        "--- 192.168.1.102 ping statistics ---\n"
        "2 packets transmitted, 2 received, 0% packet loss, time 1000ms\n"
        "rtt min/avg/max/mdev = 0.080/0.120/0.160/0.040 ms"
    )
    assert tables.ping(network.run(ping(guest, "192.168.1.99"))) == (
        "PING 192.168.1.99 (192.168.1.99) 56(84) bytes of data.\n"
        "From 192.168.1.101 icmp_seq=1 Destination Host Unreachable\n"
        "\n"
        "--- 192.168.1.99 ping statistics ---\n"
        "1 packets transmitted, 0 received, +1 errors, 100% packet loss, time 0ms\n"
    )
    assert tables.ping(network.run(ping(guest, "8.8.8.8"))) == "ping: connect: Network is unreachable"
