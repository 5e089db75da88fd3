"""The pictures of chapter 14 show what the models say, and take what their knobs offer."""

import re
import time

import pytest

from xenlab.hosts.pair import connect_pair
from xenlab.migration.driver import Migration
from xenlab.migration.hosts_view import HostMap, Journey
from xenlab.migration.pages import MigrationError
from xenlab.migration.pages_view import PageStory
from xenlab.migration.policies import Legacy, Xen417
from xenlab.migration.precopy import migrate
from xenlab.migration.rounds import Guest, Path
from xenlab.migration.samples import sent_guest
from xenlab.migration.stages import ONLY_AT, Failure, Step, break_at
from xenlab.migration.stream_view import StreamPicture
from xenlab.migration.whatif_view import RULES, RoundByRound, SideBySide, Timelines
from xenlab.migration.workloads import hot_cold

SHOP = hot_cold(64, 4, 40, 2)


@pytest.mark.parametrize("policy", [Xen417(), Legacy()])
def test_the_map_of_pages_tells_the_rounds_of_the_model(policy):
    story = PageStory(Guest(64), SHOP, policy, Path(mbit=400), seed=3)
    model = migrate(Guest(64), SHOP, policy, Path(mbit=400), seed=3)
    told = re.findall(r"Round (\d+) has ended after ([\d.]+) s: ([\d,]+) pages", story.describe())
    live = [each for each in model.rounds if each.live]
    assert [(int(n), float(s), int(p.replace(",", ""))) for n, s, p in told] == [
        (each.number, round(each.seconds, 2), each.sent) for each in live
    ]
    assert f"the last {model.rounds[-1].sent:,} pages" in story.describe()
    assert model.reason in story.describe()


def test_at_the_end_every_page_is_at_the_target():
    story = PageStory(Guest(64), SHOP, Xen417(), Path(mbit=400))
    story.step(999)
    assert "up to date at the target: 16,384" in story.picture()
    assert "only at the source: 0" in story.picture()


def test_every_position_of_every_knob_is_drawn_fast_enough():
    for picture in (RoundByRound(), SideBySide()):
        start = dict(picture.values)
        for knob in picture.knobs:
            for value in knob["options"] or knob["steps"]:
                assert picture.set(**{**start, knob["name"]: value}).startswith("Simulated")
                assert picture.drawing.startswith("<svg")
    rounds, times = RoundByRound(), []
    for policy in RULES:
        begin = time.perf_counter()
        rounds.set(policy=policy)
        times.append(time.perf_counter() - begin)
    assert min(times) < 0.06


def test_a_position_that_is_not_there_is_refused():
    with pytest.raises(MigrationError, match=r"mbit\(=7\) must be one of: 100, 250"):
        RoundByRound().set(mbit=7)
    with pytest.raises(
        MigrationError, match=r"knob\(='speed'\) must be one of: mbit, writes, hot, policy, allowed"
    ):
        RoundByRound().set(speed=1)


def test_a_faster_link_shortens_the_time_of_standing_still():
    stood = [
        float(re.search(r"still for ([\d.]+) ms", RoundByRound().set(mbit=mbit, writes=100))[1])
        for mbit in (1000, 10000)
    ]
    assert stood[1] < stood[0]


def test_the_longer_qemu_may_stop_the_guest_the_fewer_rounds_it_needs():
    rounds = RoundByRound()
    rounds.set(policy="QEMU", writes=100)
    live = [int(re.search(r"(\d+) live", rounds.set(allowed=ms))[1]) for ms in (10, 300, 3000)]
    assert live[0] > live[1] >= live[2]


def test_without_a_shared_disk_there_is_no_live_migration():
    side = SideBySide()
    assert "live" in side.set(shared="yes")
    assert "live" not in side.set(shared="no")
    assert "not possible" in side.drawing


def test_a_journey_ends_at_the_target_and_a_broken_one_where_the_model_says():
    assert Journey().step(99).startswith("Stage 5")
    for failure in Failure:
        for step in ONLY_AT.get(failure, tuple(Step)):
            told = Journey(step, failure).describe()
            runs = " and ".join(break_at(step, failure).running) or "nowhere"
            assert f"The guest runs: {runs}." in told


def test_the_map_of_hosts_follows_the_guest():
    with connect_pair("sim") as pair:
        pair.a.create(name="web", type="pvh", workload="clock").wait_for("clock 3")
        where = HostMap(pair.hosts, simulated=True)
        assert where.describe() == "hosta: web\nhostb: no guest"
        moved = Migration(pair.hosts).live("web")
        where.look()
        assert where.describe() == "hosta: no guest\nhostb: web"
        assert "web" in where.picture()
        told = Timelines(moved.timeline, simulated=True)
        assert "(simulated)" in told.describe()
        assert "real" not in told.picture()


def test_the_picture_of_a_stream_holds_every_record_of_the_file():
    saved = sent_guest()
    picture = StreamPicture(saved, simulated=False)
    assert saved.guest == "x86 HVM"
    assert saved.pages_with_data > 32768 > saved.zero_pages > 10000
    for name in {record.name for record in saved.records}:
        assert picture.about(name).startswith(("libxl", "libxc"))
        assert name in picture.drawing
    assert f"{saved.pages_with_data:,} pages with contents" in picture.describe()
    assert picture.about("NOTHING") == "no record is called NOTHING"


def test_no_lettering_of_a_drawing_leaves_its_frame():
    drawings = [RoundByRound().drawing, SideBySide().drawing, *Journey(Step.PERMIT, Failure.LINK_CUT).frames]
    for drawing in drawings:
        width, height = map(int, re.search(r"viewBox='0 0 (\d+) (\d+)'", drawing).groups())
        for x, y in re.findall(r"<text x='([\d.]+)' y='([\d.]+)'", drawing):
            assert 0 <= float(x) <= width
            assert 0 < float(y) <= height
