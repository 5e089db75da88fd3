"""Exercises on devices: the model agrees with their solutions."""

import pytest

from xenlab.devices.ring import Layout, Protocol
from xenlab.problems.devices import NotificationsSent, SlotsOfARing

SEEDS = range(40)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_ring_has_as_many_slots_as_the_solution_says(seed):
    problem = SlotsOfARing.make(seed)
    layout = Layout(tuple, f"<{problem.slot}s")
    assert Protocol("made up", layout, layout).slots(4096 * problem.pages) == problem.solve()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_backend_is_notified_once_for_each_time_it_slept(seed):
    """It sleeps at first; a push wakes it, and no other does until it sleeps again."""
    sent, asleep = 0, True
    for move in NotificationsSent.make(seed).moves:
        sent += move == "push" and asleep
        asleep = move == "backend sleeps" or (asleep and move != "push")
    assert sent == NotificationsSent.make(seed).solve()
