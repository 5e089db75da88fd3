"""A pool that lives on while domains come, change and go."""

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
    SchedulingError,
    SedfParameters,
)

POLICIES = [
    CreditParameters(),
    Credit2Parameters(),
    Credit2Parameters(pcpus_per_runqueue=1),
    BvtParameters(),
    SedfParameters(),
]


@pytest.fixture(params=POLICIES, ids=lambda parameters: type(parameters).__name__)
def engine(request):
    return Engine(2, request.param)


def test_a_paused_domain_gets_nothing_until_it_goes_on(engine):
    engine.add(Domain("web"), paused=True)
    engine.advance(1)
    assert (engine.seconds("web"), engine.vcpus("web")[0].state) == (0, "paused")
    engine.unpause("web")
    engine.advance(1)
    engine.pause("web")
    engine.advance(1)
    assert engine.seconds("web") == pytest.approx(1)


def test_a_pinned_vcpu_moves_at_once(engine):
    engine.add(Domain("web"))
    for cpu in (1, 0, 1):
        engine.pin("web", 0, (cpu,))
        engine.advance(0.5)
        assert (engine.vcpus("web")[0].pcpu, engine.vcpus("web")[0].cpus) == (cpu, (cpu,))
    assert engine.seconds("web") == pytest.approx(1.5)


def test_a_new_workload_begins_at_once(engine):
    engine.add(Domain("web", workload=Idle()))
    engine.advance(1)
    assert engine.vcpus("web")[0].state == "blocked"
    engine.set_workload("web", 0, Busy())
    engine.advance(1)
    assert engine.vcpus("web")[0].state == "running"
    engine.set_workload("web", 0, Idle())
    engine.advance(1)
    assert engine.seconds("web") == pytest.approx(1)


def test_a_domain_that_has_gone_makes_room_also_for_one_of_its_name(engine):
    for _ in range(3):
        engine.add(Domain("web", vcpus=2))
        engine.add(Domain("db"))
        engine.advance(0.5)
        for name in ("web", "db"):
            engine.remove(name)
    engine.add(Domain("last"))
    engine.advance(1)
    assert engine.seconds("last") == pytest.approx(1)
    with pytest.raises(SchedulingError, match="there is no domain web; there are: last"):
        engine.seconds("web")


def test_a_new_weight_and_cap_hold_from_now_on():
    engine = Engine(1)
    engine.add(Domain("web"))
    engine.add(Domain("db"))
    engine.advance(30)
    engine.adjust("web", weight=512)
    engine.advance(30)
    assert engine.seconds("web") == pytest.approx(15 + 20, abs=0.1)
    engine.adjust("db", cap=10)
    engine.advance(30)
    assert engine.seconds("db") == pytest.approx(15 + 10 + 3, abs=0.2)
    with pytest.raises(SchedulingError, match=r"weight\(=0\)"):
        engine.adjust("db", weight=0)


def test_parameters_may_change_but_not_the_scheduler():
    engine = Engine(1)
    for name in ("web", "db"):
        engine.add(Domain(name))
    engine.set_parameters(CreditParameters(tslice_ms=1))
    engine.advance(3)
    assert engine.seconds("web") == pytest.approx(1.5, abs=0.05)
    with pytest.raises(SchedulingError, match="a pool keeps its scheduler"):
        engine.set_parameters(Credit2Parameters())


def test_what_is_not_there_is_named():
    engine = Engine(1)
    engine.add(Domain("web"))
    with pytest.raises(SchedulingError, match="domain web is already here"):
        engine.add(Domain("web"))
    with pytest.raises(SchedulingError, match=r"vcpu\(=1\) of web must be from 0 to 0"):
        engine.pin("web", 1, None)
    with pytest.raises(SchedulingError, match="must not be negative"):
        engine.advance(-1)


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["add", "remove", "pause", "unpause", "weigh", "cap", "pin", "work", "wait"]),
        st.integers(0, 2),
        st.integers(0, 2),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(POLICIES), ACTIONS)
def test_whatever_is_done_time_is_given_once_and_to_those_who_may_have_it(parameters, actions):
    """A pool of two: at each moment at most two vCPUs run, none that is paused or blocked, each where it may."""
    engine = Engine(2, parameters)
    names = set()
    for action, which, value in actions:
        name = f"d{which}"
        if action == "add" and name not in names:
            engine.add(Domain(name, vcpus=1 + value % 2), paused=value == 2)
            names.add(name)
        elif action == "wait" or name not in names:
            before = {known: engine.seconds(known) for known in names}
            engine.advance(0.02 * (1 + value))
            used = [engine.seconds(known) - before[known] for known in names]
            assert min(used, default=0) >= 0
            assert sum(used) <= 2 * 0.02 * (1 + value) + 1e-9
        elif action == "remove":
            engine.remove(name)
            names.remove(name)
        elif action == "pause":
            engine.pause(name)
        elif action == "unpause":
            engine.unpause(name)
        elif action == "weigh":
            engine.adjust(name, weight=(1, 256, 65535)[value])
        elif action == "cap":
            engine.adjust(name, cap=0 if isinstance(parameters, BvtParameters) else (0, 20, 100)[value])
        elif action == "pin":
            engine.pin(name, 0, ((0,), (1,), None)[value])
        elif action == "work":
            engine.set_workload(name, 0, (Busy(), Idle(), Blocking(1, 2))[value])
        running = [vcpu for known in names for vcpu in engine.vcpus(known) if vcpu.state == "running"]
        assert len({vcpu.pcpu for vcpu in running}) == len(running) <= 2
        assert all(vcpu.pcpu in vcpu.cpus for vcpu in running)
