"""What happens in a run, event by event, and what must never happen."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenlab.scheduling import (
    Blocking,
    Busy,
    BvtParameters,
    Credit2Parameters,
    CreditParameters,
    Domain,
    Engine,
    Idle,
    Periodic,
    Replay,
    SedfParameters,
    System,
    simulate,
)
from xenlab.scheduling.clock import HeapClock
from xenlab.scheduling.simulate import new_scheduler

MS = 1e6
POLICIES = [CreditParameters(), Credit2Parameters(), BvtParameters(), SedfParameters()]


def log(system, seconds, *events):
    """Milliseconds, event, vCPU, credit and priority of the events of these kinds."""
    run = simulate(system, seconds)
    return [
        (row.time / MS, row.event, row.vcpu, row.credit, run.priorities.get(row.priority, ""))
        for row in run.trace
        if row.event in events
    ]


# -- the credit scheduler, step by step


def test_a_slice_is_30_ms_and_costs_300_credits_and_accounting_gives_by_weight():
    system = System((Domain("web", weight=512), Domain("db")), 1)
    assert log(system, 0.1, "run", "preempt", "account") == [
        (0, "run", "web.0", 0, "UNDER"),
        (30, "preempt", "web.0", -300, "UNDER"),
        (30, "run", "db.0", 0, "UNDER"),
        (35, "account", "web.0", -100, "OVER"),
        (35, "account", "db.0", 100, "UNDER"),
        (65, "account", "web.0", 100, "UNDER"),
        (65, "account", "db.0", -100, "OVER"),
        (90, "preempt", "db.0", -400, "OVER"),
        (90, "run", "web.0", 100, "UNDER"),
        (95, "account", "web.0", 300, "UNDER"),
        (95, "account", "db.0", -300, "OVER"),
    ]


def test_one_that_wakes_with_credits_left_is_boosted_and_preempts_at_once():
    system = System((Domain("busy"), Domain("io", workload=Replay(((1, 50.5),)))), 1)
    events = log(system, 0.11, "boost", "preempt", "run", "block")
    first = next(i for i, (_, event, *_) in enumerate(events) if event == "boost")
    woken = events[first][0]
    assert [(time - woken, event, vcpu) for time, event, vcpu, *_ in events[first : first + 5]] == [
        (0, "boost", "io.0"),
        (0, "preempt", "busy.0"),
        (0, "run", "io.0"),
        (1, "block", "io.0"),
        (1, "run", "busy.0"),
    ]
    assert events[first + 2][-1] == events[first + 3][-1] == "BOOST"


def test_the_rate_limit_keeps_everybody_on_for_a_millisecond():
    io = tuple(Domain(f"io{i}", workload=Blocking(0.4, 3)) for i in range(3))
    for ratelimit_us, kept in ((0, False), (1000, True)):
        run = simulate(System((Domain("busy"), *io), 1, CreditParameters(ratelimit_us=ratelimit_us)), 1)
        off = {(row.vcpu, row.time) for row in run.trace if row.event == "preempt"}
        shortest = min(bar.end - bar.start for bar in run.bars if (bar.vcpu, bar.end) in off)
        assert (shortest >= 1 * MS) is kept


def test_a_capped_vcpu_is_parked_below_its_cap_and_unparked_without_a_boost():
    """At 50 % it may owe 150 credits; it is let on again when it owes nothing."""
    events = log(System((Domain("capped", cap=50),), 1), 0.5, "park", "unpark", "boost")
    parked = [credit for _, event, _, credit, _ in events if event == "park"]
    assert {event for _, event, *_ in events} == {"park", "unpark"}
    assert all(-450 <= credit < -150 for credit in parked)
    assert all(credit >= 0 for _, event, _, credit, _ in events if event == "unpark")


def test_an_idle_pcpu_steals_what_waits_on_another():
    """Two domains may only start on pCPU 0; when the pin is lifted to both, the idle one takes one of them."""
    engine = Engine(2)
    engine.add(Domain("a", cpus=(0,)))
    engine.add(Domain("b", cpus=(0,)))
    engine.advance(0.3)
    engine.pin("a", 0, None)
    before = engine.seconds("a")
    engine.advance(1)
    assert engine.seconds("a") - before == pytest.approx(1, abs=0.04)


def test_a_wake_up_goes_to_an_idle_pcpu():
    domains = (Domain("busy", cpus=(0,)), Domain("io", workload=Periodic(1, 10)))
    run = simulate(System(domains, 2), 1)
    assert {bar.pcpu for bar in run.bars if bar.vcpu == "io.0" and bar.start > 50 * MS} == {1}
    assert run.shares["busy"] == 1.0


def test_one_that_earns_more_than_it_spends_stops_earning_and_loses_half():
    """Without that a sleeper would save up a claim on the processor (`csched_acct`)."""
    run = simulate(System((Domain("busy"), Domain("io", workload=Periodic(1, 20))), 1), 3)
    credits = [credit for _, credit in run.credits["io.0"]]
    assert max(credits) <= 300


# -- the same trace from both drivers


@st.composite
def systems(draw, policies=POLICIES, limited=True):
    scheduler = draw(st.sampled_from(policies))
    pcpus = draw(st.integers(1, 3))
    workloads = [
        Busy(),
        Blocking(1, 4),
        Periodic(3, 20),
        Blocking(5, 1, "uniform"),
        Replay(((2, 3), (0, 10))),
        Idle(),
    ]
    domains = []
    for number in range(draw(st.integers(1, 5))):
        vcpus = draw(st.integers(1, 2))
        cap = (
            0
            if isinstance(scheduler, BvtParameters) or not limited
            else draw(st.sampled_from([0, 0, 30, 80]))
        )
        cpus = draw(st.sampled_from([None, (0,), tuple(range(pcpus))])) if limited else None
        weight = draw(st.sampled_from([128, 256, 512]))
        domains.append(Domain(f"d{number}", vcpus, weight, cap, cpus, draw(st.sampled_from(workloads))))
    return System(tuple(domains), pcpus, scheduler)


@settings(max_examples=25, deadline=None)
@given(systems(), st.integers(0, 3))
def test_heap_and_simpy_drive_a_scheduler_to_the_same_trace(system, seed):
    heap, simpy = (simulate(system, 0.7, driver=driver, seed=seed) for driver in ("heap", "simpy"))
    assert list(heap.trace) == list(simpy.trace)
    assert heap.vcpu_seconds == simpy.vcpu_seconds


# -- what must never happen


@settings(max_examples=25, deadline=None)
@given(systems())
def test_no_pcpu_runs_two_vcpus_and_no_vcpu_runs_twice_or_where_it_must_not(system):
    run = simulate(system, 0.7)
    for key in (lambda bar: bar.pcpu, lambda bar: bar.vcpu):
        ends = {}
        for bar in sorted(run.bars, key=lambda bar: (bar.start, bar.end)):
            assert bar.start >= ends.get(key(bar), 0.0)
            ends[key(bar)] = bar.end
    allowed = {
        name: cpus or system.pcpu_numbers
        for domain in system.domains
        for name, cpus in zip(domain.vcpu_names, domain.affinities, strict=True)
    }
    assert all(bar.pcpu in allowed[bar.vcpu] for bar in run.bars)
    total = sum(bar.end - bar.start for bar in run.bars)
    assert total == pytest.approx(1e9 * sum(run.vcpu_seconds.values()))


def idle_and_waiting(run):
    """ns for which a pCPU was idle while a vCPU that could run there waited."""
    allowed = {
        name: set(cpus or run.system.pcpu_numbers)
        for domain in run.system.domains
        for name, cpus in zip(domain.vcpu_names, domain.affinities, strict=True)
    }
    running, waiting, wasted, last = {}, set(), 0.0, 0.0
    for row in run.trace:
        if row.time > last:
            idle = set(run.system.pcpu_numbers) - set(running.values())
            wasted += (row.time - last) * any(allowed[name] & idle for name in waiting)
            last = row.time
        if row.event in ("wake", "unpark", "preempt"):
            running.pop(row.vcpu, None)
            waiting.add(row.vcpu)
        elif row.event == "run":
            waiting.discard(row.vcpu)
            running[row.vcpu] = row.pcpu
        elif row.event in ("block", "park", "migrate"):
            running.pop(row.vcpu, None)
            waiting.discard(row.vcpu)
    return wasted


@settings(max_examples=25, deadline=None)
@given(systems(policies=[CreditParameters()], limited=False))
def test_credit_conserves_work_where_there_are_neither_caps_nor_pins(system):
    """No pCPU idles while a vCPU waits.

    With pins it may: whoever a pinned vCPU preempts waits there, and an idle pCPU looks for work only when it is woken.
    """
    assert idle_and_waiting(simulate(system, 0.7)) == 0


@settings(max_examples=25, deadline=None)
@given(systems(policies=[CreditParameters()]))
def test_after_an_accounting_nobody_who_earns_owes_or_owns_more_than_a_time_slice(system):
    """But one that is parked then pays at once for the time since the last tick, 5 ms here."""
    clock = HeapClock()
    credit = new_scheduler(system.scheduler, clock, system.pcpu_numbers)
    for domain in system.domains:
        credit.add(domain, 0.0)
    for period in range(20):
        clock.run((35 + 30 * period) * MS + 1)
        earning = set(range(len(credit.vcpus))) - credit.earners.resting
        assert all(-300 - 50 <= credit.credit[i] <= 300 for i in earning)
        assert (
            max(credit.credit) <= 450
        )  # who has just ceased to earn keeps half: a grant may exceed 300 by a debt


def test_one_that_no_tick_finds_running_pays_and_earns_nothing():
    """Ticks come every 10 ms, this runs between them: Xen never counts it as active (`csched_tick`)."""
    run = simulate(System((Domain("sly", workload=Periodic(run_ms=3, period_ms=20)),), 1), 0.2)
    assert run.table.credit.iloc[-1] == -300


@settings(max_examples=25, deadline=None)
@given(systems(policies=[Credit2Parameters(), Credit2Parameters(pcpus_per_runqueue=1)]))
def test_credit2s_credits_stay_between_floor_and_carry_over(system):
    run = simulate(system, 0.5)
    moves = sum(row.event == "steal" for row in run.trace)  # for each, 50 us are made good
    assert all(-10_000_000 <= row.credit <= 10_500_000 + 50_000 * moves for row in run.trace)


# -- reading a trace


def test_the_table_has_one_row_an_event():
    table = simulate(System((Domain("a"), Domain("b")), 1), 0.1).table
    assert list(table.columns) == ["time", "pcpu", "vcpu", "credit", "priority", "event"]
    first = table[table.event == "preempt"].iloc[0]
    assert (first.time, first.pcpu, first.vcpu, first.credit, first.priority) == (
        0.03,
        0,
        "a.0",
        -300,
        "UNDER",
    )


def test_bars_and_credits_draw_what_happened():
    run = simulate(System((Domain("web", weight=512), Domain("db")), 1), 0.09)
    assert [(bar.vcpu, bar.start / MS, bar.end / MS) for bar in run.bars] == [
        ("web.0", 0, 30),
        ("db.0", 30, 90),
    ]
    assert [(time / MS, credit) for time, credit in run.credits["db.0"]][:4] == [
        (30, 0),
        (35, 0),
        (35, 100),
        (65, -200),
    ]


def test_a_line_of_credit_falls_only_while_its_vcpu_runs():
    """Also where one is parked that waits: what it was granted is a jump at the accounting, not a slope before it."""
    run = simulate(System((Domain("web", weight=512, cap=25), Domain("db")), 1), 0.48)
    ran = {(bar.vcpu, bar.start): bar.end for bar in run.bars}
    for name, line in run.credits.items():
        for (start, before), (end, after) in pairwise(line):
            if start < end and before != after:
                assert after < before
                assert any(vcpu == name and s <= start and end <= e for (vcpu, s), e in ran.items())
