"""Milestones are in order and have their sources; fewer hosts do the same work, never more than they may."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenlab.commands import XenlabError
from xenlab.history import consolidation, timeline
from xenlab.history.consolidation import Server, alone, consolidate, fleet
from xenlab.history.pictures import PICTURES
from xenlab.history.timeline import MILESTONES, Line
from xenlab.history.view import Consolidation, Sprawl, Timeline
from xenlab.problems.history import HostsNeeded, WhichFirst

loads = st.lists(st.floats(0, 0.9), min_size=24, max_size=24).map(tuple)
servers = st.lists(loads, min_size=1, max_size=12).map(
    lambda all: [Server(f"s{number}", "any", load) for number, load in enumerate(all)]
)


def test_milestones_are_in_order_and_every_one_has_a_source_that_can_be_followed():
    assert [each.date for each in MILESTONES] == sorted(each.date for each in MILESTONES)
    for each in MILESTONES:
        assert each.link.startswith("https://"), each.title
        assert each.source, each.title
    assert {each.line for each in MILESTONES} == set(Line) == set(PICTURES)


def test_the_wrong_way_round_is_refused():
    with pytest.raises(XenlabError, match=r"first\(=2000\) must not be later than last\(=1990\)"):
        timeline.select(first=2000, last=1990)
    with pytest.raises(XenlabError, match="must occur in a milestone"):
        timeline.milestone("abacus")


def test_the_data_set_is_what_its_recipe_makes():
    assert consolidation.DATA.read_text() == consolidation.made_up()


@settings(max_examples=40)
@given(servers, st.floats(0.05, 1))
def test_no_server_is_lost_and_no_shared_host_is_busier_than_it_may_be(fleet, limit):
    plan = consolidate(fleet, limit)
    assert sorted(s.name for host in plan.hosts for s in host) == sorted(s.name for s in fleet)
    for number, host in enumerate(plan.hosts):
        assert len(host) == 1 or max(plan.load(number)) <= limit + 1e-6


@settings(max_examples=40)
@given(servers, st.floats(0.05, 1))
def test_there_are_never_fewer_hosts_than_the_busiest_hour_needs(fleet, limit):
    busiest = max(sum(hour) for hour in zip(*(server.load for server in fleet), strict=True))
    assert len(consolidate(fleet, limit).hosts) >= busiest - 1e-6


def test_energy_is_the_straight_line_from_idle_to_full():
    half = Server("half", "any", (0.5,) * 24)
    assert alone([half]).kwh_per_day(peak_watts=100, idle_share=0.5) == pytest.approx(0.075 * 24)
    with pytest.raises(XenlabError, match=r"limit\(=0\) must be more than 0"):
        consolidate([half], 0)


def test_the_slider_gives_what_the_model_says():
    widget = Consolidation(limit=60)
    for limit in (20, 80, 100):
        widget.limit = limit
        assert len(widget.result["hosts"]) == len(consolidate(fleet(), limit / 100).hosts)
        assert "simulated" in widget.describe()


def test_the_server_room_ends_with_the_plans_hosts_and_every_server_in_one():
    room = Sprawl(0.6)
    hosts = len(consolidate(fleet(), 0.6).hosts)
    assert sum(room.on[0]) == 48
    assert sum(room.on[-1]) == hosts
    for places in room.places:
        assert len(set(map(tuple, places))) == 48, "no server lies on another"
    assert [sum(on) for on in room.on] == sorted((sum(on) for on in room.on), reverse=True)


def test_the_timeline_shows_the_lines_asked_for():
    assert Timeline(Line.CLOUD).describe().splitlines() == [
        "25 August 2006: Amazon EC2 opens, on Xen",
        "February 2020: Firecracker: a machine for one function call",
    ]
    assert "https://doi.org/10.1145/945445.945462" in Timeline().picture()


@pytest.mark.parametrize("kind", [WhichFirst, HostsNeeded])
def test_exercises_reply_to_every_answer(kind):
    for seed in range(30):
        problem = kind.make(seed)
        assert str(problem) == str(kind.make(seed))
        assert problem.check(problem.solve()).right
        wrong = (
            10**6 if kind is HostsNeeded else next(letter for letter in "abcd" if letter != problem.solve())
        )
        reply = problem.check(wrong)
        assert not reply.right
        assert len(reply.text) > 40


def test_hosts_are_counted_without_cutting_servers():
    problem = HostsNeeded(0, "", "", servers=100, busy=15, limit=80)
    assert problem.solve() == 20  # five on each, although 100 * 15 / 80 = 18.75
