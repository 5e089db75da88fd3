"""What the page is told of a day: loads, states, moves, words; figures say what they show."""

import numpy as np
import pytest

from xenlab.datacenter.cluster import Cluster, DatacenterError, Domain, Host
from xenlab.datacenter.fleet import datacenter
from xenlab.datacenter.orders import Move, SwitchOff
from xenlab.datacenter.policies import Both, Static, place, spread
from xenlab.datacenter.simulation import Failure, Site, simulate
from xenlab.datacenter.sweep import sweep
from xenlab.datacenter.view import Racks, show_days, show_heat_map
from xenlab.datacenter.whatif_view import FAILS, RULES, RunDatacenter

QUIET = Site(noise=0)


@pytest.fixture(scope="module")
def day():
    """Three hosts: one fails at 6:00, one is off until 12:00, when a domain of 64 GiB goes there."""
    hosts = tuple(Host(name) for name in ("a", "b", "c"))
    domains = (Domain("big", 8, 65536, (8.0,)), Domain("hungry", 24, 1024, (18.0,)))

    def policy(look):
        return {0.0: [SwitchOff(2)], 43_200.0: [Move(0, 2)]}.get(look.time, [])

    return simulate(
        Cluster(hosts, domains), [1, 1], policy, failures=[Failure(21_600.0, 0, 3600.0)], site=QUIET
    )


def test_each_host_is_told_as_it_is(day):
    racks = Racks(day, every=1)
    assert len(racks.loads) == len(racks.captions) == 288
    assert racks.loads[0] == [0, 162, -1]
    assert racks.loads[72] == [-3, 162, -1]
    assert racks.loads[144] == [0, 162, -2]
    assert racks.loads[160] == [0, 112, 50]


def test_moves_are_arcs_while_they_last(day):
    racks = Racks(day, every=1)
    (move,) = day.moves
    under_way = [moment for moment, arcs in enumerate(racks.moves) if arcs]
    assert under_way == list(range(int(move.start // 300), int(move.end // 300) + 1))
    assert racks.moves[under_way[0]] == [[1, 2]]


def test_captions_count_and_warn(day):
    racks = Racks(day, every=1)
    assert racks.step(72) == (
        "06:00. 1 of 3 hosts on, 100 % busy, 300 W (simulated). 1 host is asked for more than it has. a has failed."
    )
    assert "1 domain is on the move" in racks.step(72)
    assert "<table>" in racks.picture()
    assert "a: 0 %" in racks.picture()


def test_hosts_stand_in_their_racks_without_touching():
    cluster = datacenter(hosts=90, domains=90)
    racks = Racks(simulate(cluster, spread(cluster), Static()))
    assert len({tuple(slot) for slot in racks.slots}) == 90
    wide, high = racks.size
    assert all(0 <= x <= wide - racks.slot[0] and 0 <= y <= high - racks.slot[1] for x, y in racks.slots)
    assert len(racks.racks) == 9
    with pytest.raises(DatacenterError, match=r"hosts\(=121\) must be at most 120"):
        Racks(simulate(Cluster(tuple(Host(str(i)) for i in range(121)), ()), [], Static()))


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_answers(rule):
    run = RunDatacenter()
    told = run.set(rule=rule, hosts=12, fails=FAILS)
    assert told.startswith("Simulated: ")
    assert "domains were down" in told
    assert run.drawing.count("<path") >= 4
    assert "nan" not in run.drawing


def test_a_data_centre_that_is_too_small_still_answers():
    assert "lacking" in RunDatacenter().set(hosts=6, threshold=60)


def test_figures_say_what_they_show(capsys):
    cluster = datacenter(hosts=8, domains=80)
    days = {
        "planned": simulate(cluster, place(cluster), Static()),
        "moving": simulate(cluster, spread(cluster), Both()),
    }
    show_days(days)
    assert f"{days['planned'].kwh:.0f} kWh" in capsys.readouterr().out
    result = sweep(lambda a, b, seed: {"kWh": 10.0 * a + b}, {"a": [1, 2], "b": [0.5, 3.0]}, progress=False)
    show_heat_map(result, "kWh", digits=1)
    assert "the least is 10.5 at a 1 and b 0.5, the most 23.0 at a 2 and b 3.0" in capsys.readouterr().out
    with pytest.raises(DatacenterError, match="one at least"):
        show_days({})


def test_a_day_is_told_in_a_table_too(day):
    frame = day.frame()
    assert frame[["domain", "source", "target"]].to_numpy().tolist() == [["big", "b", "c"]]
    assert frame.start[0] == pytest.approx(12.05)
    assert np.isclose(day.row()["kWh"], day.kwh)
    assert "1 move;" in str(day)
