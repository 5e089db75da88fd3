"""Queues are as Xen keeps them: credit sorts its own after an accounting, credit2 shares and balances them."""

import pytest

from xenlab.scheduling import Credit2Parameters, CreditParameters, Domain, Engine
from xenlab.scheduling.clock import HeapClock
from xenlab.scheduling.credit import BOOST, OVER, UNDER
from xenlab.scheduling.runqueue import LOAD_ONE, best_exchange
from xenlab.scheduling.simulate import new_scheduler


def scheduler(parameters, pcpus, domains=()):
    made = new_scheduler(parameters, HeapClock(), range(pcpus))
    for domain in domains:
        made.add(domain, 0.0)
    return made


@pytest.mark.parametrize(
    ("pcpus", "most", "sizes"),
    [(2, 16, [2]), (16, 16, [16]), (17, 16, [8, 8, 1]), (4, 1, [1] * 4), (5, 2, [1] * 5)],
)
def test_pcpus_share_run_queues_as_even_as_xen_makes_them(pcpus, most, sizes):
    """``cpu_add_to_runqueue``: the fewest queues, then pCPUs divided by them, rounded down."""
    made = scheduler(Credit2Parameters(pcpus_per_runqueue=most), pcpus)
    assert [queue.size for queue in made.queues] == sizes


def exchange(mine, other):
    """The names that are pushed and pulled between two run queues of vCPUs with these loads (hundredths)."""
    names = {name: load for queue in (mine, other) for name, load in queue.items()}
    domains = [Domain(name, cpus=((0,), (1,))[name in other]) for name in names]
    made = scheduler(Credit2Parameters(pcpus_per_runqueue=1), 2, domains)
    for name, load in names.items():
        (vcpu,) = made.dom(name).vcpus
        vcpu.affinity = 0b11
        vcpu.average.value = load * LOAD_ONE // 100
    for queue in made.queues:
        queue.average.value = sum(vcpu.average.value for vcpu in queue.members)
    return tuple(vcpu and vcpu.domain.name for vcpu in best_exchange(*made.queues))


def test_loads_are_brought_as_close_as_one_exchange_can():
    assert exchange({"a": 100, "b": 100}, {}) == ("a", None)
    assert exchange({}, {"c": 100, "d": 50, "e": 30}) == (None, "c")
    assert exchange({"a": 100, "b": 60}, {"c": 40}) == ("a", "c")
    assert exchange({"a": 50}, {"c": 50}) == (None, None)


def test_of_equally_good_exchanges_the_first_is_made_that_xen_considers():
    """``balance_load``: push and pull, then push alone, for each that may be pushed; pulling alone comes last."""
    assert exchange({"a": 80, "b": 40}, {"c": 40, "d": 0}) == ("a", "c")
    assert exchange({"a": 40, "b": 40}, {"d": 0}) == ("a", "d")


def test_credits_sort_moves_who_may_run_before_who_is_over_and_changes_nothing_else():
    """``csched_runq_sort`` does not put BOOST before UNDER: that is what queueing is for."""
    made = scheduler(CreditParameters(), 1, [Domain(name) for name in ("runs", "a", "b", "c", "d")])
    cpu = made.cpus[0]
    waiting = list(cpu.runq)
    for slot, priority in zip(waiting, (OVER, UNDER, OVER, BOOST), strict=True):
        made.pri[slot] = priority
    made.epoch += 1
    made.clock.run(11e6)  # a tick
    assert cpu.runq == [waiting[1], waiting[3], waiting[0], waiting[2]]


def test_one_that_was_pinned_while_it_was_parked_is_boosted_the_next_time_it_wakes():
    """Letting it on uses up the mark that keeps a vCPU that has moved from being boosted (`csched_unit_wake`)."""
    engine = Engine(1)
    engine.add(Domain("web", cap=20))
    vcpu = engine._vcpu("web", 0)
    while not vcpu.flags:
        engine.advance(0.005)
    engine.pin("web", 0, (0,))
    assert vcpu.migrated
    while vcpu.flags:
        engine.advance(0.005)
    assert not vcpu.migrated
