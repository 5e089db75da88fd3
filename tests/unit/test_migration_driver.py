"""Two simulated hosts: a guest goes from one to the other, and whatever breaks, it runs on exactly one of them."""

import pytest

from xenlab.commands import XenlabError
from xenlab.hosts.pair import connect_pair
from xenlab.migration.driver import Migration, NotMoved
from xenlab.migration.timeline import Service


@pytest.fixture
def pair():
    with connect_pair("sim") as hosts:
        yield hosts


@pytest.fixture
def migration(pair):
    """A guest that prints the time, on hosta."""
    pair.a.create(name="web", type="pvh", workload="clock").wait_for("clock 3")
    return Migration(pair.hosts)


def test_a_live_migration_keeps_the_guest_counting_and_stops_it_for_a_moment(migration):
    moved = migration.live("web")
    last, first = moved.counted
    assert first == last + 1
    assert not moved.lost
    assert 0 < moved.downtime < moved.seconds / 2
    assert migration.where("web") == ("hostb",)
    assert moved.said.splitlines()[-1] == "Migration successful."


def test_a_guest_that_comes_back_goes_on_in_the_console_it_left_and_its_successor_begins_anew(
    pair, migration
):
    migration.live("web")
    last, first = migration.live("web").counted
    said = pair.a["web"].console()
    assert said.index("clock 1 ") < said.index(f"clock {first} ")
    assert f"clock {last} " in pair.b.get("/var/log/xen/console/guest-web--incoming.log").decode()
    pair.a["web"].destroy()
    successor = pair.a.create(name="web", type="pvh", workload="clock")
    assert "clock" not in successor.console()
    assert successor.wait_for("clock 1 ").count("clock 1 ") == 1


def test_the_three_ways_stand_still_in_the_order_that_the_book_says(migration):
    live, warm = migration.live("web"), migration.warm("web")
    assert live.downtime < warm.downtime
    assert warm.counted[1] == warm.counted[0] + 1
    cold = migration.cold("web")
    assert cold.lost
    assert cold.counted[1] == 1


def test_a_timeline_is_as_long_as_its_steps_and_down_for_as_long_as_was_measured(migration):
    for way in (migration.live, migration.warm, migration.cold):
        moved = way("web")
        assert moved.timeline.downtime == pytest.approx(moved.downtime, abs=0.4)
        for before, after in zip(moved.timeline.steps, moved.timeline.steps[1:], strict=False):
            assert after.start == pytest.approx(before.start + before.seconds)
    assert {step.service for step in moved.timeline.steps} == {Service.DOWN}


def test_a_disk_file_goes_along_when_a_guest_moves_cold(pair):
    pair.a.put(b"disk" * 1000, "/var/lib/xenlab/web.img")
    pair.a.create(name="web", type="pvh", workload="clock").wait_for("clock 3")
    Migration(pair.hosts).cold("web", disks=["/var/lib/xenlab/web.img"])
    assert pair.b.get("/var/lib/xenlab/web.img") == b"disk" * 1000


def test_a_guest_that_writes_much_takes_longer_to_move(pair):
    """Idle, 256 MiB go over once. At 100 MiB/s of writing, four more rounds of tens of MiB follow."""
    took = {}
    for workload in ("idle", "dirty:100"):
        name = workload.partition(":")[0]
        pair.a.create(name=name, type="pvh", memory=256, workload=workload).wait_for("xenlab: workload")
        start = pair.a.now()
        pair.a.xl("migrate", "-s", "wire", name, "hostb")
        took[name] = pair.a.now() - start
        pair.b[name].destroy()
    assert took["dirty"] > took["idle"] + 2, took


@pytest.mark.parametrize("breakage", ["link cut", "target killed"])
def test_a_migration_broken_in_its_middle_leaves_the_source_running(pair, migration, breakage):
    with pair.breaking(breakage), pytest.raises(NotMoved) as failure:
        migration.live("web")
    assert failure.value.running == ("hosta",)
    assert "\nMigration failed, resuming at sender.\n" in failure.value.said
    before = len(pair.a["web"].console())
    pair.a.wait(1)
    assert len(pair.a["web"].console()) > before, "it counts on"


def test_a_cut_link_can_be_mended_and_the_guest_moved_after_all(pair, migration):
    with pair.breaking("link cut"), pytest.raises(NotMoved):
        migration.live("web")
    with pytest.raises(NotMoved) as failure:
        migration.live("web")
    assert "No route to host" in failure.value.said
    pair.mend()
    assert list(pair.b.domains().index) == ["Domain-0"], "nothing is left of the first attempt"
    assert not migration.live("web").lost


def test_a_target_without_memory_refuses_before_the_guest_has_stopped(pair, migration):
    pair.b.create(name="ballast", memory=566, paused=True)
    with pytest.raises(NotMoved) as failure:
        migration.live("web")
    assert failure.value.running == ("hosta",)
    assert list(pair.b.domains().index) == ["Domain-0", "ballast"]


def test_a_pv_guest_cannot_be_moved_live_and_goes_on(pair):
    pair.a.create(name="old", type="pv", workload="clock").wait_for("clock 3")
    with pytest.raises(NotMoved) as failure:
        Migration(pair.hosts).live("old")
    assert failure.value.running == ("hosta",)


def test_what_cannot_be_is_refused_with_a_reason(pair, migration):
    with pytest.raises(XenlabError, match=r"must run on exactly one host; it runs on: none"):
        migration.live("nobody")
    with pytest.raises(XenlabError, match=r"hosts\(=hosta\) must be two"):
        Migration({"hosta": pair.a})
    pair.a.create(name="mute", type="pvh").wait_for("workload")
    pair.a.wait(2)
    with pytest.raises(XenlabError, match="must run the workload 'clock'"):
        migration.live("mute")
    with pytest.raises(XenlabError, match=r"kind\(='local'\) must be 'box' or 'sim'"):
        connect_pair("local")
