"""What domains get of a processor, under each of the schedulers."""

import pytest

from xenlab.scheduling import (
    Blocking,
    Busy,
    BvtParameters,
    Credit2Parameters,
    CreditParameters,
    Domain,
    Idle,
    Periodic,
    Replay,
    SchedulingError,
    SedfParameters,
    System,
    predict,
    simulate,
)

CREDIT, CREDIT2, BVT, SEDF = CreditParameters(), Credit2Parameters(), BvtParameters(), SedfParameters()


def busy(*weights_and_caps):
    return tuple(Domain(f"d{i}", weight=weight, cap=cap) for i, (weight, cap) in enumerate(weights_and_caps))


def shares(domains, pcpus=1, scheduler=CREDIT, seconds=60):
    return list(predict(System(domains, pcpus, scheduler), seconds).values())


# From transcriptions of credit.c and credit2.c (4.17) for busy domains of one vCPU on one pCPU: (weight, cap), shares.
@pytest.mark.parametrize(
    ("domains", "expected"),
    [
        ([(256, 0), (512, 0)], [0.334, 0.666]),
        ([(256, 0), (1024, 0)], [0.251, 0.750]),
        ([(256, 50)], [0.5]),
        ([(256, 25), (256, 0)], [0.25, 0.75]),
        ([(256, 0), (256, 0), (512, 0)], [0.251, 0.25, 0.499]),
    ],
)
def test_credits_share_table(domains, expected):
    assert shares(busy(*domains)) == pytest.approx(expected, abs=0.0015)


@pytest.mark.parametrize(
    ("weights", "expected", "resets"),
    [
        ((256, 256), [0.5, 0.5], 150),
        ((512, 256), [0.667, 0.333], 200),
        ((1024, 256), [0.8, 0.2], 240),
        ((256, 256, 512), [0.25, 0.25, 0.5], 150),
    ],
)
def test_credit2s_share_table_and_resets(weights, expected, resets):
    run = simulate(System(busy(*((weight, 0) for weight in weights)), 1, CREDIT2), 3)
    assert list(run.shares.values()) == pytest.approx(expected, abs=0.001)
    counted = sum(row.event == "reset" and row.vcpu == "d0.0" for row in run.trace)
    assert resets - 1 <= counted <= resets


@pytest.mark.parametrize("scheduler", [CREDIT2, BVT])
@pytest.mark.parametrize(("weights", "expected"), [((300, 256), [0.54, 0.46]), ((1024, 256), [0.8, 0.2])])
def test_credit2_and_bvt_divide_a_processor_by_any_weights(scheduler, weights, expected):
    assert shares(busy(*((w, 0) for w in weights)), scheduler=scheduler) == pytest.approx(expected, abs=0.005)


def test_credit_is_too_coarse_for_most_weights():
    """It decides every 30 ms, and takes half of what somebody has saved beyond 300: 4:1 comes out as 3:1."""
    assert shares(busy((1024, 0), (256, 0))) == pytest.approx([0.75, 0.25], abs=0.002)
    assert shares(busy((300, 0), (256, 0))) == pytest.approx([0.504, 0.496], abs=0.002)


def test_sedf_guarantees_the_share_and_spreads_the_rest_evenly():
    """95 % of each 100 ms are shared by weight; the rest is extra time, for all alike."""
    assert shares(busy((512, 0), (256, 0)), scheduler=SEDF) == pytest.approx([0.658, 0.342], abs=0.005)


@pytest.mark.parametrize("scheduler", [CREDIT, CREDIT2, SEDF])
@pytest.mark.parametrize("cap", [10, 40, 75])
def test_a_cap_holds_even_if_nobody_else_wants_the_processor(scheduler, cap):
    assert shares(busy((256, cap)), scheduler=scheduler) == pytest.approx([cap / 100], abs=0.005)


def test_bvt_has_no_caps():
    with pytest.raises(SchedulingError, match=r"cap\(=50\) of d0 must be 0"):
        shares(busy((256, 50)), scheduler=BVT)


@pytest.mark.parametrize("scheduler", [CREDIT, CREDIT2])
def test_weight_is_per_vcpu(scheduler):
    """The domain of two vCPUs gets twice as much, which xl's manual page does not say."""
    two, one = shares((Domain("two", vcpus=2), Domain("one")), scheduler=scheduler)
    assert (two, one) == pytest.approx((2 / 3, 1 / 3), abs=0.01)


def test_weights_of_two_domains_pinned_to_one_of_two_pcpus_do_not_count_under_credit():
    """Credits are given out for both pCPUs, and neither domain can spend what it gets: 1:1 instead of 2:1."""
    pinned = (Domain("web", weight=512, cpus=(0,)), Domain("db", weight=256, cpus=(0,)))
    assert shares(pinned, pcpus=2) == pytest.approx([0.5, 0.5], abs=0.002)
    assert shares(pinned, pcpus=2, scheduler=CREDIT2) == pytest.approx([2 / 3, 1 / 3], abs=0.002)


def test_three_busy_vcpus_share_two_pcpus():
    for scheduler in (CREDIT, CREDIT2):
        assert shares(busy(*[(256, 0)] * 3), 2, scheduler) == pytest.approx([2 / 3] * 3, abs=0.01)


def test_a_pool_counts_only_its_own_pcpus():
    """Credits are 300 for each pCPU of the pool: two domains share a pool of one, whatever else the machine has."""
    run = simulate(System(busy((256, 0), (512, 0)), pcpus=(3,)), 6)
    assert {bar.pcpu for bar in run.bars} == {3}
    assert list(run.shares.values()) == pytest.approx([1 / 3, 2 / 3], abs=0.01)


@pytest.mark.parametrize("scheduler", [CREDIT, CREDIT2])
def test_a_blocking_domain_gets_nearly_what_it_wants_beside_a_busy_one(scheduler):
    domains = (Domain("busy"), Domain("io", workload=Blocking(run_ms=1, sleep_ms=9, distribution="constant")))
    assert shares(domains, scheduler=scheduler) == pytest.approx([0.9, 0.1], abs=0.012)


def test_workloads_use_what_they_say_when_alone():
    workloads = {
        Busy(): 1.0,
        Idle(): 0.0,
        Periodic(run_ms=3, period_ms=10): 0.3,
        Blocking(run_ms=1, sleep_ms=3, distribution="constant"): 0.25,
        Replay(((1, 1), (0, 6), (2, 0))): 0.3,
    }
    for workload, expected in workloads.items():
        assert shares((Domain("d", workload=workload),), seconds=10) == pytest.approx([expected], abs=0.002)


def test_chance_comes_from_the_seed():
    system = System((Domain("a", workload=Blocking(2, 3)), Domain("b")), 1)
    assert predict(system, 5, seed=1) == predict(system, 5, seed=1) != predict(system, 5, seed=2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Domain("d", weight=0), r"weight\(=0\) must be from 1 to 65535"),
        (lambda: Domain("d", vcpus=2, cap=201), r"cap\(=201\) must be from 0 \(no cap\) to 200"),
        (lambda: Domain("d", vcpus=2, workload=(Busy(),)), "workload of d is given for 1 vCPUs and it has 2"),
        (lambda: System((Domain("d"), Domain("d"))), "different names"),
        (lambda: System((Domain("d"),), pcpus=0), r"pcpus\(=0\) must be at least one"),
        (
            lambda: shares((Domain("d", cpus=(5,)),), 2),
            r"cpus\(=\(5,\)\) must name at least one pCPU of \[0, 1\]",
        ),
        (lambda: CreditParameters(tslice_ms=0), r"tslice_ms\(=0\) must be from 1 to 1000"),
        (lambda: CreditParameters(tslice_ms=1, ratelimit_us=2000), "must not exceed the time slice"),
        (lambda: Credit2Parameters(ratelimit_us=50), r"ratelimit_us\(=50\) must be 0 \(off\) or from 100"),
        (
            lambda: Periodic(run_ms=5, period_ms=3),
            r"run_ms\(=5\) must be above 0 and at most period_ms\(=3\)",
        ),
        (lambda: Replay(()), "at least one pair"),
    ],
)
def test_what_cannot_be_is_refused_and_told_why(make, message):
    with pytest.raises(ValueError, match=message):
        make()
