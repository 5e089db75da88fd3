"""Every scenario ends as it should, and what was seen on its links can be read back."""

from __future__ import annotations

import pytest

from xenlab.networking.dissect import Tcpdump
from xenlab.networking.frames import read_pcap
from xenlab.networking.scenarios import SCENARIOS, Scenario

FAILURES = {
    "bridge: the wrong bridge",
    "bridge: a gateway that is not there",
    "bridge: migrated in silence",
    "route: no forwarding",
    "route: no proxy ARP on lan0",
    "nat: no masquerading",
    "nat: no forwarding",
    "nat: from outside",
}


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=lambda scenario: scenario.name)
def test_each_step_ends_as_the_scenario_says(scenario: Scenario) -> None:
    assert scenario.play().outcomes == scenario.outcomes


def test_there_are_enough_and_the_failing_ones_are_among_them() -> None:
    assert len(SCENARIOS) >= 12
    assert not FAILURES - set(SCENARIOS)


def test_the_same_scenario_gives_the_same_bytes() -> None:
    scenario = SCENARIOS["nat: guest to the LAN"]
    one, other = scenario.play().network.records, scenario.play().network.records
    assert one == other


def test_a_trace_has_a_row_for_each_frame_in_the_order_it_was_seen() -> None:
    network = SCENARIOS["nat: guest to the LAN"].play().network
    table = network.trace()
    assert list(table.columns) == ["time", "link", "src", "dst", "protocol", "summary", "bytes"]
    assert len(table) == len(network.records)
    assert table["time"].is_monotonic_increasing
    assert set(table["protocol"]) == {"ARP", "ICMP", "TCP"}
    assert list(network.trace("lan0")["bytes"]) == [len(r.frame) for r in network.records if r.link == "lan0"]


def test_no_frame_is_an_empty_table() -> None:
    table = SCENARIOS["bridge: no gateway"].play().network.trace()
    assert len(table) == 0
    assert "summary" in table.columns


def test_a_capture_of_a_link_reads_back_as_its_rows() -> None:
    network = SCENARIOS["route: guest to the LAN"].play().network
    captured = read_pcap(network.pcap("vif1.0"))
    dump = Tcpdump()
    table = network.trace("vif1.0")
    assert [dump.describe(frame) for _, frame in captured] == list(table["summary"])
    assert [time for time, _ in captured] == pytest.approx(list(table["time"]), abs=1e-5)


def test_a_bridge_changes_no_frame_and_a_router_both_addresses() -> None:
    bridged = SCENARIOS["bridge: guest to the LAN"].play().network
    frames_on = {link: [r.frame for r in bridged.records if r.link == link] for link in ("vif1.0", "lan0")}
    assert frames_on["vif1.0"] == frames_on["lan0"]
    routed = SCENARIOS["route: guest to guest"].play().network
    on_the_other_vif = routed.trace("vif2.0")
    assert not {"00:16:3e:00:00:01"} & {*on_the_other_vif["src"], *on_the_other_vif["dst"]}
