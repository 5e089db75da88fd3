"""Hosts are read into the model's own classes, and a policy tried on a simulated day advises on them."""

import re

import numpy as np
import pytest

import xenlab
from xenlab.datacenter.cluster import DatacenterError
from xenlab.datacenter.policies import Consolidate, Hotspots
from xenlab.datacenter.survey import Survey
from xenlab.hosts.pair import connect_pair
from xenlab.migration.driver import Migration
from xenlab.scheduling.driver import Scheduling


@pytest.fixture(scope="module")
def pair():
    with connect_pair("sim") as pair:
        pair.a.create(name="web", type="pvh", memory=128, workload="clock").wait_for("clock 3")
        pair.a.create(name="busy", type="pvh", memory=80, workload="burn").wait_for("xenlab: workload")
        pair.b.create(name="mail", type="pvh", memory=80, workload="clock").wait_for("clock 3")
        yield pair


def test_hosts_and_guests_are_what_xl_says(pair):
    survey = Survey(pair.hosts)
    assert [host.name for host in survey.cluster.hosts] == ["hosta", "hostb"]
    guests = {guest.name: guest for guest in survey.cluster.domains}
    assert set(guests) == {"web", "busy", "mail"}
    assert guests["web"].memory == 128
    assert guests["busy"].demand[0] == pytest.approx(1.0, abs=0.1)
    assert guests["web"].demand[0] < 0.2
    assert guests["web"].weight == 256
    assert survey.place.tolist() == [0, 0, 1]
    assert "hosta" in str(survey)
    assert re.search(r"busy (0\.9|1\.0)\d", str(survey))


def test_it_sees_weight_and_cap(pair):
    Scheduling(pair.a).set("busy", weight=512, cap=50)
    try:
        busy = next(each for each in Survey(pair.hosts).cluster.domains if each.name == "busy")
        assert (busy.weight, busy.cap) == (512, 50)
        assert busy.demand[0] == pytest.approx(0.5, abs=0.06)
    finally:
        Scheduling(pair.a).set("busy", weight=256, cap=0)


def test_the_advice_is_the_policys_and_can_be_followed(pair):
    advice = Survey(pair.hosts).advice(Consolidate(below=0.5, limit=0.9))
    assert advice == [("mail", "hostb", "hosta")]
    Migration(pair.hosts).live("mail")
    assert Survey(pair.hosts).place.tolist() == [0, 0, 0]
    assert Survey(pair.hosts).advice(Consolidate(below=0.5, limit=0.9)) == []
    Migration(pair.hosts).live("mail")


def test_a_hot_host_is_seen(pair):
    survey = Survey(pair.hosts)
    limit = float(survey.look().load[0]) - 0.01
    (move, *_) = survey.advice(Hotspots(threshold=limit))
    assert move[1:] == ("hosta", "hostb")


def test_how_many_more_fit(pair):
    survey = Survey(pair.hosts)
    more = survey.more_like("mail")
    look = survey.look()
    assert more["memory"] == look.free[1] // 80
    assert more["CPU"] >= 1
    with pytest.raises(DatacenterError, match=r"name\(='nobody'\) must be one of these guests: web"):
        survey.more_like("nobody")


def test_a_host_without_guests_and_a_wait_of_nothing():
    with xenlab.connect("sim") as host:
        survey = Survey({"only": host}, seconds=1)
        assert survey.cluster.domains == ()
        assert survey.look().load.tolist() == [0.0]
        assert str(survey).endswith("pCPUs used: no guest")
        assert survey.advice(Consolidate()) == []
        with pytest.raises(DatacenterError, match="more than 0"):
            Survey({"only": host}, seconds=0)
    assert np.isfinite(survey.look().free).all()
