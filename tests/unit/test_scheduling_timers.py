"""Timers that are late: those of a pCPU go off together, drift, and fall into step, and schedulers live with it."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_scheduling_trace import systems
from xenlab.scheduling import CreditParameters, Domain, Engine, SchedulingError, System, predict, simulate
from xenlab.scheduling.clock import HeapClock

MS = 1e6
CPU0, CPU1 = SimpleNamespace(number=0), SimpleNamespace(number=1)


def log_of(clock, *timers):
    """Set (time, name, pCPU, last) and return what goes off: (time, name)."""
    gone = []
    for time, name, cpu, last in timers:
        clock.timers.set(time, lambda now, cpus, name=name: gone.append((now, name)), [cpu], last)
    clock.run(1000)
    return gone


def test_prompt_timers_go_off_on_time():
    timers = (30, "c", CPU0, False), (10, "a", CPU0, True), (20, "b", CPU1, False)
    assert log_of(HeapClock(), *timers) == [(10, "a"), (20, "b"), (30, "c")]


@given(st.integers(1, 200), st.integers(0, 1000), st.lists(st.integers(0, 500), min_size=1, max_size=12))
def test_each_goes_off_once_never_early_and_late_by_at_most_twice_the_mean(late, seed, times):
    timers = [(time, (number, time), (CPU0, CPU1)[number % 2], False) for number, time in enumerate(times)]
    gone = log_of(HeapClock(late, seed), *timers)
    assert sorted(name for _, name in gone) == sorted(name for _, name, _, _ in timers)
    assert all(time <= now <= time + 2 * late for now, (_, time) in gone)


def test_what_is_due_goes_off_together_in_order_and_the_scheduler_last():
    gone = log_of(
        HeapClock(100, seed=1),
        (10, "slice", CPU0, True),
        (12, "tick", CPU0, False),
        (11, "acct", CPU0, False),
    )
    assert len({now for now, _ in gone}) == 1
    assert [name for _, name in gone] == ["acct", "tick", "slice"]


def test_pcpus_have_interrupts_of_their_own():
    (first, _), (second, _) = log_of(HeapClock(100, seed=1), (10, "a", CPU0, False), (10, "b", CPU1, False))
    assert first != second


def test_a_period_that_is_counted_from_when_it_went_off_is_longer_than_it_says():
    clock, gone = HeapClock(150e3), []

    def again(now, cpus):
        gone.append(now)
        clock.timers.set(now + 30 * MS, again, cpus)

    again(0.0, [CPU0])
    clock.run(60e9)
    assert (gone[-1] - gone[0]) / (len(gone) - 1) / MS == pytest.approx(30.15, abs=0.01)


def test_timers_of_one_period_fall_into_step():
    clock, last = HeapClock(150e3), {}

    def again(name):
        def go_off(now, cpus):
            last[name] = now
            clock.timers.set(now + 30 * MS, go_off, cpus)

        return go_off

    clock.timers.set(1 * MS, again("a"), [CPU0])
    clock.timers.set(1.4 * MS, again("b"), [CPU0])
    clock.run(30e9)
    assert last["a"] == last["b"]


# -- schedulers with late timers


@settings(max_examples=25, deadline=None)
@given(systems(), st.integers(0, 3), st.sampled_from([1.0, 150.0, 2000.0]))
def test_heap_and_simpy_drive_a_scheduler_to_the_same_trace(system, seed, late_us):
    late = replace(system, late_us=late_us)
    heap, simpy = (simulate(late, 0.7, driver=driver, seed=seed) for driver in ("heap", "simpy"))
    assert list(heap.trace) == list(simpy.trace)


@settings(max_examples=25, deadline=None)
@given(systems(), st.integers(0, 3))
def test_no_pcpu_runs_two_vcpus_and_no_time_is_lost(system, seed):
    run = simulate(replace(system, late_us=300), 0.7, seed=seed)
    for key in (lambda bar: bar.pcpu, lambda bar: bar.vcpu):
        ends = {}
        for bar in sorted(run.bars, key=lambda bar: (bar.start, bar.end)):
            assert bar.start >= ends.get(key(bar), 0.0)
            ends[key(bar)] = bar.end
    assert sum(bar.end - bar.start for bar in run.bars) == pytest.approx(1e9 * sum(run.vcpu_seconds.values()))


def test_a_cap_is_filled_up_the_later_the_later_accountings_are():
    """30 ms of 40 % are granted at each accounting, whenever that comes: 40 % of 30 in 30.3."""
    (share,) = predict(System((Domain("web", cap=40),), 1, late_us=300)).values()
    assert share == pytest.approx(0.4 * 30 / 30.3, abs=0.0005)


def test_late_timers_break_the_step_in_which_prompt_ones_hold_a_weight_of_four_to_three():
    """1024 against 256 is 3:1 while every slice of 30 ms lies in the same way to the accounting; the box gives 78 %."""
    system = System((Domain("web", weight=1024), Domain("db")), 1)
    assert predict(system)["web"] == pytest.approx(0.75, abs=0.002)
    shares = [predict(replace(system, late_us=150), 20, seed=seed)["web"] for seed in range(12)]
    assert sum(shares) / 12 == pytest.approx(0.78, abs=0.015)
    assert min(shares) < 0.76
    assert max(shares) > 0.79


def test_an_engine_in_steps_or_at_once_comes_to_the_same():
    engines = [Engine(2, CreditParameters(), late_us=150) for _ in range(2)]
    for engine in engines:
        engine.add(Domain("web", 2, weight=512))
        engine.add(Domain("db", cap=30))
    engines[0].advance(10)
    for _ in range(97):
        engines[1].advance(10 / 97)
    assert engines[0].seconds("web") == pytest.approx(engines[1].seconds("web"), abs=1e-6)


def test_lateness_has_a_range():
    with pytest.raises(SchedulingError, match=r"late_us\(=-1\) must be from 0"):
        System((Domain("web"),), late_us=-1)
