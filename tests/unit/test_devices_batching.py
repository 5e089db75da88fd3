"""Notifications and throughput against batch size, in simulated time; and scenarios played by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenlab.commands import XenlabError
from xenlab.devices.batching import Costs, run, sweep
from xenlab.devices.ring import RingFullError
from xenlab.devices.trace import MOVES, play


def test_without_event_indices_every_request_and_every_response_costs_a_notification():
    assert run(batch=1, requests=100, naive=True).notifications == 200


@pytest.mark.parametrize("batch", [1, 4, 16, 32])
def test_a_ring_never_needs_more_notifications_than_that_and_is_never_slower_for_it(batch):
    ring, naive = run(batch), run(batch, naive=True)
    assert ring.notifications < naive.notifications == ring.naive_notifications
    assert ring.throughput > naive.throughput


def test_a_full_ring_at_a_time_needs_one_notification_each_way_for_32_requests():
    result = run(batch=32, requests=1024)
    assert (result.frontend_notifications, result.backend_notifications) == (32, 32)
    assert result.saved == 1 - 64 / 2048


def test_larger_groups_save_more_but_a_full_ring_leaves_one_side_idle():
    by_batch = {result.batch: result for result in sweep()}
    assert by_batch[16].notifications < by_batch[4].notifications < by_batch[1].notifications
    assert by_batch[16].throughput > by_batch[1].throughput
    assert by_batch[32].throughput < by_batch[16].throughput  # frontend and backend take turns


def test_a_backend_that_never_catches_up_never_sleeps():
    slow = run(batch=1, requests=500, costs=Costs(serve=20))
    assert slow.frontend_notifications == 1


def test_the_same_costs_give_the_same_run():
    assert run(batch=4) == run(batch=4)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 32), st.integers(1, 80), st.builds(Costs, *[st.floats(0, 50) for _ in range(5)]))
def test_every_request_is_answered_whatever_things_cost(batch, requests, costs):
    """No missed wake-up: the run would not end."""
    result = run(batch, requests, costs)
    assert 1 <= result.frontend_notifications <= requests
    assert 1 <= result.backend_notifications <= requests
    assert result.seconds >= requests * max(costs.build, costs.serve) * 0.999e-6


def test_a_batch_that_no_ring_holds_is_refused():
    with pytest.raises(XenlabError, match=r"batch\(=33\) must be from 1 to 32, the slots of the ring"):
        run(batch=33)


def test_a_scenario_shows_every_index_after_every_move():
    trace = play(
        ["put", "put", "push", "take", "respond", "push responses", "take response", "frontend sleeps"]
    )
    last = trace.steps[-1]
    assert last.detail == "sleeps"
    indices = last.indices
    assert (indices.req_prod, indices.req_cons, indices.rsp_prod, indices.rsp_cons) == (2, 1, 1, 1)
    assert (indices.req_event, indices.rsp_event) == (1, 2)
    assert [step.slot for step in trace.steps] == [0, 1, None, 0, 0, None, 0, None]
    assert trace.notifications() == (2, 0)
    assert play(["push", "push responses"]).notifications() == (0, 0)


def test_a_scenario_knows_the_limits_of_its_ring():
    with pytest.raises(RingFullError):
        play(["put"] * 5, slots=4)
    with pytest.raises(RingFullError):
        play(["put", "push", "respond"])
    with pytest.raises(XenlabError, match=r"move\(='jump'\) must be one of: put, push, take"):
        play(["jump"])
    assert play(
        ["put", "push"] * 4 + ["take", "respond", "push responses", "take response"] * 4 + ["put"], slots=4
    )
    assert len(MOVES) == 8
