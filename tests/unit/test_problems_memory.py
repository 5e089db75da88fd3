"""Memory exercises: answers are spread, and agree with what is counted by hand."""

from collections import Counter

import pytest

from xenlab.memory.entries import ENTRIES
from xenlab.problems.memory import Allowed, FreeMemory, Slot


@pytest.mark.parametrize(("kind", "different"), [(Slot, 20), (Allowed, 2), (FreeMemory, 8)])
def test_answers_are_spread(kind, different):
    answers = Counter(kind.make(seed).solve() for seed in range(60))
    assert len(answers) >= different
    assert answers.most_common(1)[0][1] < 40


def test_the_slots_of_all_levels_make_the_address_again():
    for problem in map(Slot.make, range(40)):
        shift = 12 + 9 * (problem.level - 1)
        assert 0 <= problem.solve() < ENTRIES
        assert problem.address // 2**shift % 512 == problem.solve()


def test_what_is_free_is_what_the_commands_leave_if_nobody_is_stopped():
    """Counted by hand: each command that is not refused, and finds enough, moves the difference."""
    plain = 0
    for problem in map(FreeMemory.make, range(60)):
        free, has = problem.free, {name: memory for name, memory, _ in problem.guests}
        most = {name: maximum for name, _, maximum in problem.guests}
        for name, target in problem.targets:
            if target > most[name]:
                continue
            if target - has[name] > free:
                break
            free, has[name] = free - (target - has[name]), target
        else:
            plain += 1
            assert problem.solve() == free
    assert plain > 40
