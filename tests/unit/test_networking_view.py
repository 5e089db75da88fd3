"""Pictures of networks show every frame, in order, each with its layers and its way."""

import pytest

from xenlab.commands import XenlabError
from xenlab.networking import topologies
from xenlab.networking.scenarios import SCENARIOS
from xenlab.networking.view import Frames, SideBySide


@pytest.mark.parametrize(
    "name", ["bridge: guest to guest", "route: guest to the LAN", "nat: guest to the LAN"]
)
def test_a_moment_a_frame(name):
    network = SCENARIOS[name].play().network
    picture = Frames(network)
    assert len(picture.frames) == len(network.records) == len(picture.captions) - 1
    for frame, record in zip(picture.frames, network.records, strict=True):
        assert frame["link"] == record.link
        assert frame["layers"][0]["name"] == "Ethernet"
    assert {machine["name"] for machine in picture.machines} == set(network.hosts)
    assert all(machine["tables"] for machine in picture.machines)


def test_time_to_live_is_there_to_be_compared():
    picture = Frames(SCENARIOS["route: guest to the LAN"].play().network)
    lives = [
        dict(layer["fields"])["ttl"]
        for frame in picture.frames
        for layer in frame["layers"]
        if layer["name"] == "IP"
    ]
    assert set(lives) == {"64", "63"}


def test_nothing_to_see_is_said():
    with pytest.raises(XenlabError, match="must have seen at least one frame"):
        Frames(topologies.bridge())


def test_side_by_side_shows_where_the_guests_address_goes():
    bridge, router, nat = SideBySide().ways
    cable = {
        way["title"]: {
            frame["macs"] for frame in way["frames"] if frame["link"] == "lan0" and "echo" in frame["words"]
        }
        for way in (bridge, router, nat)
    }
    assert any("00:16:3e" in macs for macs in cable[bridge["title"]])
    for way in (router, nat):
        assert not any("00:16:3e" in macs for macs in cable[way["title"]])
