"""Post-copy: each page once, a short stop, and a guest that waits for what it touches."""

import pytest

from xenlab.migration.pages import MigrationError, count
from xenlab.migration.policies import StopAndCopy
from xenlab.migration.postcopy import Postcopy, postcopy
from xenlab.migration.precopy import migrate
from xenlab.migration.rounds import Guest, Path
from xenlab.migration.workloads import Idle, Region, Sweep, Ticks, hot_cold, uniform

WORKLOADS = (
    Idle(),
    uniform(16, 200),
    hot_cold(16, 4, 400, 2),
    Sweep(Region(0, 16), 0.1),
    Ticks(Region(8, 8), 0.02),
)


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: type(workload).__name__)
def test_every_page_crosses_exactly_once_and_intervals_follow_each_other(workload):
    run = Postcopy(Guest(16), workload, Path(mbit=200))
    left, now = 4096, 0.0
    for each in run:
        assert each.start == pytest.approx(now)
        assert each.missing == left - each.pulled - each.pushed == count(run.missing)
        assert each.seconds >= each.ran > 0
        left, now = each.missing, now + each.seconds
    assert left == 0


def test_an_idle_guest_pulls_nothing_and_takes_as_long_as_stop_and_copy():
    path = Path(mbit=200, state=0.01, resume=0.02)
    ours = postcopy(Guest(16), Idle(), path)
    theirs = migrate(Guest(16), Idle(), StopAndCopy(), path)
    assert (ours.pulled, ours.stalled) == (0, 0)
    assert ours.seconds == pytest.approx(theirs.seconds, rel=0.01)
    assert ours.downtime == pytest.approx(0.03)
    assert theirs.downtime > 20 * ours.downtime


def test_pages_waited_for_cost_their_latency_and_their_transfer():
    burst = Ticks(Region(8, 8), interval=0.02)
    slow = postcopy(Guest(16), burst, Path(mbit=200), latency=0.005)
    quick = postcopy(Guest(16), burst, Path(mbit=200), latency=0.0)
    page = 8 * 4104 / 200e6
    assert slow.pulled > 1000
    assert slow.stalled == pytest.approx(slow.pulled * (0.005 + page))
    assert quick.stalled == pytest.approx(quick.pulled * page)


def test_the_link_is_never_idle_nor_overfull():
    path = Path(mbit=200)
    result = postcopy(Guest(16), uniform(16, 200), path)
    assert result.pages_sent == result.pages == 4096
    assert result.seconds == pytest.approx(4096 * 8 * 4104 / 200e6, rel=0.02)


def test_equal_seeds_give_equal_results():
    def run(seed):
        return postcopy(Guest(16), uniform(16, 50), seed=seed)

    assert run(3) == run(3)
    assert run(3).intervals != run(4).intervals


def test_the_table_has_a_row_an_interval_and_the_text_says_simulated():
    result = postcopy(Guest(1), uniform(1, 5))
    assert list(result.frame().columns) == ["start", "seconds", "ran", "pulled", "pushed", "missing"]
    assert len(result.frame()) == len(result.intervals)
    assert str(result).startswith("simulated, post-copy: 256 pages")


def test_a_negative_latency_is_refused():
    with pytest.raises(MigrationError, match=r"latency\(=-1\) must not be negative"):
        Postcopy(Guest(1), Idle(), latency=-1)
