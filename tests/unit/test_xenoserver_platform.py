"""The XenoServer platform: no money is lost, nothing is promised twice, prices do what the project said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenlab.commands import XenlabError
from xenlab.xenoserver.platform import FUNDS, Scenario, _Run, simulate
from xenlab.xenoserver.roles import InformationService, Refused, Task, XenoCorp, XenoServer, cost
from xenlab.xenoserver.story import tell

amounts = st.integers(0, 1000)


@given(
    st.lists(st.tuples(st.sampled_from(["sell", "charge", "close"]), st.integers(1, 6), amounts), max_size=30)
)
def test_money_only_moves(steps):
    corp = XenoCorp()
    corp.register("ana", 3000)
    corp.register("operator")
    for what, number, cents in steps:
        try:
            if what == "sell":
                corp.sell_order("ana", cents)
            elif what == "charge":
                corp.charge(number, "operator", cents)
            else:
                corp.close(number)
        except Refused:
            pass
        assert corp.money == 3000
        assert all(left >= 0 for left in corp.accounts.values())


def test_an_order_pays_no_more_than_it_holds():
    corp = XenoCorp(fee_percent=10)
    corp.register("ana", 100)
    order = corp.sell_order("ana", 100)
    assert corp.charge(order.number, "operator", 70) == 70
    assert corp.charge(order.number, "operator", 70) == 30
    assert corp.accounts["operator"] == 63 + 27


def test_a_client_without_money_gets_no_order():
    corp = XenoCorp()
    with pytest.raises(Refused, match="cents") as refused:
        corp.sell_order("nobody", 1)
    assert refused.value.reason == "order spent"


def test_an_order_that_nobody_sold_is_unknown():
    with pytest.raises(Refused) as refused:
        XenoCorp().validate(7)
    assert refused.value.reason == "order unknown"


def test_memory_is_promised_once():
    server = XenoServer("cambridge", "operator", 0.5, memory=1024)
    server.admit(1, 1000)
    with pytest.raises(Refused) as refused:
        server.admit(2, 25)
    assert refused.value.reason == "full"
    server.release(1)
    server.admit(2, 1024)
    assert server.load == 1


def test_a_price_holds_for_the_session_that_was_told_it():
    server = XenoServer("cambridge", "operator", 0.5, memory=1000, base_price=100, elasticity=2)
    assert server.admit(1, 500) == 100
    assert server.admit(2, 500) == 200
    assert server.price == 300


def test_the_service_believes_what_it_was_told_last():
    service, server = InformationService(), XenoServer("cambridge", "operator", 0.5)
    service.advertise(server.advert(0))
    server.admit(1, server.memory)
    task = Task("ana", 0.5, 1, 512, 100)
    assert service.find(task, far=10)
    service.advertise(server.advert(1))
    assert not service.find(task, far=10)


def test_the_nearer_of_two_equal_servers_is_found_first():
    service = InformationService()
    for name, place in (("far", 0.9), ("near", 0.4)):
        service.advertise(XenoServer(name, "operator", place).advert(0))
    found = service.find(Task("ana", 0.5, 1, 512, 100), far=60)
    assert [advert.server for advert in found] == ["near", "far"]
    assert len(service.find(Task("ana", 0.5, 1, 512, 100), far=0)) == 2


@given(st.integers(1, 400), st.integers(1, 4096), st.floats(0.001, 20))
def test_a_bill_is_rounded_up_by_less_than_a_cent(price, memory, hours):
    exact = price * memory * hours / 1024
    assert exact - 1e-6 <= cost(price, memory, hours) < exact + 1


@pytest.mark.parametrize("elasticity", [0, 1, 3])
def test_money_and_memory_are_kept_through_a_whole_run(elasticity):
    scenario = Scenario(seed=3, clients=150, elasticity=elasticity)
    run = _Run(scenario)
    assert run.corp.money == FUNDS * len(run.outcome.sessions)
    for points in run.outcome.loads.values():
        assert all(0 <= load <= 1 for _, load in points)
    assert sum(run.outcome.endings.values()) == 150
    assert sum(server.used for server in run.servers.values()) == sum(
        session.task.memory for session in run.outcome.sessions if session.ending == "running"
    )


def test_the_same_seed_gives_the_same_run():
    assert simulate(Scenario(seed=5)) == simulate(Scenario(seed=5))
    assert simulate(Scenario(seed=5)) != simulate(Scenario(seed=6))


@pytest.mark.parametrize("seed", range(5))
def test_prices_that_follow_the_load_balance_it(seed):
    """What the technical report of 2003 expects of billing: that it encourages load balancing."""
    fixed, following = (simulate(Scenario(seed, 300, elasticity=each)).imbalance for each in (0, 2))
    assert following < 0.7 * fixed


def test_old_adverts_send_clients_to_full_servers():
    fresh, stale = (simulate(Scenario(clients=300, advert_every=every)) for every in (0.1, 6))
    assert stale.refused_at_the_door > 5 * fresh.refused_at_the_door


def test_a_session_ends_when_its_order_is_spent():
    spent = [each for each in simulate(Scenario(clients=300)).sessions if each.ending == "order spent"]
    assert spent
    assert all(session.paid == session.task.budget for session in spent)


@pytest.mark.parametrize("wrong", [{"clients": 0}, {"elasticity": -1}, {"advert_every": 0}])
def test_a_scenario_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(XenlabError, match="must be at least"):
        Scenario(**wrong)


def test_a_story_ends_with_everybody_paid():
    last = tell(memory=2048, hours=1, budget=250, funds=400)[-1]
    assert (last.client, last.operator, last.fee, last.order, last.free) == (200, 190, 10, 0, 8192)
