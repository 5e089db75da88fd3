"""The exercises of chapter 14 have one right answer each, found without the code that makes them."""

import pytest

from xenlab.problems.migration import LiveRounds, StandStill, WhoRuns

SEEDS = range(40)


def live_rounds_by_hand(dirtied):
    """The rule in words: five live rounds; fewer than 50 waiting pages go in one more, which is the last."""
    sent = 1
    for waiting in dirtied:
        if sent == 5:
            return 5
        sent += 1
        if waiting < 50:
            return sent
    return sent


@pytest.mark.parametrize("seed", SEEDS)
def test_the_number_of_live_rounds_follows_the_rule_in_words(seed):
    problem = LiveRounds.make(seed)
    assert problem.solve() == live_rounds_by_hand(problem.dirtied)
    assert problem.check(problem.solve()).right
    assert "at most 5 live rounds" in problem.check(17).text


def test_every_number_of_rounds_from_two_to_five_occurs():
    assert {LiveRounds.make(seed).solve() for seed in range(200)} >= {3, 4, 5}


def test_the_guest_can_be_at_either_end_or_nowhere():
    assert {WhoRuns.make(seed).solve() for seed in SEEDS} == {"source", "target", "nowhere"}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_wrong_place_is_answered_with_what_each_end_holds(seed):
    problem = WhoRuns.make(seed)
    assert problem.check(problem.solve().upper()).right
    wrong = "target" if problem.solve() != "target" else "source"
    reply = problem.check(wrong)
    assert not reply.right
    assert "the target holds" in reply.text


def test_before_the_source_gives_permission_the_guest_stays_there():
    for seed in SEEDS:
        problem = WhoRuns.make(seed)
        if problem.step.name in ("RESERVE", "PRECOPY", "SUSPEND", "COPY_REST", "ACKNOWLEDGE"):
            assert problem.solve() == "source"


@pytest.mark.parametrize("seed", SEEDS)
def test_standing_still_is_megabits_by_megabits_a_second(seed):
    problem = StandStill.make(seed)
    assert problem.solve() * problem.mbit == problem.mib * 8
    assert problem.check(problem.solve()).right
