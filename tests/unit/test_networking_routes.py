"""Routing tables: the longest prefix wins, then the lowest metric."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenlab.commands import XenlabError
from xenlab.networking.routes import Route, RouteTable

addresses = st.integers(0, 2**32 - 1).map(lambda number: number & 0xC0A80FFF | 0x0A000000).map(IPv4Address)
networks = st.builds(
    lambda ip, length: IPv4Network((ip, length), strict=False), addresses, st.integers(0, 32)
)


@settings(max_examples=60)
@given(st.dictionaries(networks, st.integers(0, 9), max_size=12), addresses)
def test_lookup_finds_what_a_search_from_the_longest_prefix_down_finds(
    metrics: dict[IPv4Network, int], address: IPv4Address
) -> None:
    table = RouteTable()
    for network, metric in metrics.items():
        table.add(Route(network, f"to {network}", metric=metric))
    expected = None
    for length in range(32, -1, -1):
        block = IPv4Network((address, length), strict=False)
        if block in metrics:
            expected = f"to {block}"
            break
    found = table.lookup(str(address))
    assert (found.device if found else None) == expected


def test_among_equals_the_lowest_metric_wins() -> None:
    table = RouteTable()
    table.add(Route.to("10.0.1.1", "vif1.0", metric=2))
    table.add(Route.to("10.0.1.1", "vif1.0-emu", metric=1))  # vif-route prefers an emulated card
    found = table.lookup("10.0.1.1")
    assert found is not None
    assert found.device == "vif1.0-emu"


def test_the_kernels_words_for_a_second_route_and_for_none() -> None:
    table = RouteTable()
    route = Route.to("default", "eth0", gateway="192.168.1.1")
    with pytest.raises(XenlabError, match="RTNETLINK answers: No such process"):
        table.remove(route)
    table.add(route)
    with pytest.raises(XenlabError, match="RTNETLINK answers: File exists"):
        table.add(Route.to("default", "eth1", gateway="10.0.0.1"))
    table.remove(route)
    assert table.lookup("8.8.8.8") is None
