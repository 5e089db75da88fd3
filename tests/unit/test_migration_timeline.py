"""Cold, warm and live as one sequence of steps each: what takes how long, and when the service answers."""

import pytest

from xenlab.migration.pages import MigrationError
from xenlab.migration.policies import Xen417
from xenlab.migration.precopy import migrate
from xenlab.migration.rounds import Guest, Path
from xenlab.migration.timeline import Service, Site, cold, live, warm
from xenlab.migration.workloads import hot_cold

SITE = Site(memory=1024, disk=4096, link=128, dump=256, shutdown=5, boot=15)
MOVE = migrate(Guest(1024), hot_cold(1024, 16, 40, 1), Xen417(), Path(mbit=1000, state=0.02, resume=0.03))


def test_steps_follow_each_other_without_gaps():
    for line in (cold(SITE), warm(SITE), live(SITE, MOVE)):
        now = 0.0
        for step in line.steps:
            assert step.start == pytest.approx(now)
            assert step.seconds > 0
            now += step.seconds
        assert line.seconds == pytest.approx(now)
        assert line.steps[0].command


def test_downtime_by_hand():
    assert cold(SITE).downtime == 5 + 15
    assert warm(SITE).downtime == 1024 / 256 + 1024 / 128 + 1024 / 256
    assert live(SITE, MOVE).downtime == pytest.approx(MOVE.downtime)
    assert live(SITE, MOVE).seconds == pytest.approx(MOVE.seconds)


def test_live_is_down_far_shorter_than_warm_and_warm_than_cold():
    downs = [line.downtime for line in (live(SITE, MOVE), warm(SITE), cold(SITE))]
    assert downs == sorted(downs)
    assert downs[0] < downs[1] / 50


def test_a_disk_that_is_not_shared_is_copied_while_the_guest_is_down():
    alone = Site(memory=1024, disk=4096, shared_disk=False, link=128, dump=256, shutdown=5, boot=15)
    assert cold(alone).downtime == cold(SITE).downtime + 32
    assert warm(alone).downtime == warm(SITE).downtime + 32
    with pytest.raises(MigrationError, match=r"shared_disk\(=False\) must be True"):
        live(alone, MOVE)


def test_the_service_at_a_moment():
    line = live(SITE, MOVE)
    stop = line.steps[-2].start
    moments = (-1, 0, stop / 2, stop + 1e-4, line.seconds + 1)
    expected = (Service.UP, Service.SLOW, Service.SLOW, Service.DOWN, Service.UP)
    assert tuple(map(line.service_at, moments)) == expected


def test_the_table_has_a_row_a_step_and_sites_are_checked():
    assert list(warm(SITE).frame().columns) == ["what", "command", "start", "seconds", "service"]
    with pytest.raises(MigrationError, match=r"link\(=0\) must be positive"):
        Site(link=0)
