"""The exercises of chapter 17 have one right answer each, found without the code that makes them."""

import pytest

from xenlab.problems.datacenter import DayOfPower, PackByHand, WhoMoves

SEEDS = range(40)


def by_hand(sizes, limit):
    hosts = []
    for size in sorted(sizes, reverse=True):
        for host in hosts:
            if sum(host) + size <= limit:
                host.append(size)
                break
        else:
            hosts.append([size])
    return hosts


@pytest.mark.parametrize("seed", SEEDS)
def test_packing_follows_the_rule_in_words(seed):
    problem = PackByHand.make(seed)
    hosts = by_hand(problem.sizes, problem.limit)
    assert problem.solve() == len(hosts)
    assert problem.check(len(hosts)).right
    assert " + ".join(map(str, hosts[0])) in problem.check(99).text


@pytest.mark.parametrize("seed", SEEDS)
def test_the_first_to_move_has_the_largest_volume_for_its_size(seed):
    problem = WhoMoves.make(seed)
    ratios = [64 / (64 - m) * 100 / (100 - c) / m for c, m in zip(problem.cpu, problem.memory, strict=True)]
    best = "abcd"[ratios.index(max(ratios))]
    assert problem.check(best.upper()).right
    other = next(letter for letter in "abcd" if letter != best)
    assert "Another one has more" in problem.check(other).text
    assert "not in the table" in problem.check("z").text


@pytest.mark.parametrize("seed", SEEDS)
def test_a_days_energy_is_a_whole_number(seed):
    problem = DayOfPower.make(seed)
    hours, percent = 24 - problem.off, problem.busy
    milliwatt_hours = (
        problem.hosts * hours * (100 * problem.idle + (problem.peak - problem.idle) * percent) * 10
    )
    assert problem.solve() * 1_000_000 == milliwatt_hours
    assert problem.check(problem.solve()).right


def test_answers_vary():
    assert {WhoMoves.make(seed).solve() for seed in SEEDS} == set("abcd")
    assert len({PackByHand.make(seed).solve() for seed in SEEDS}) >= 3
    for kind in (PackByHand, WhoMoves, DayOfPower):
        assert str(kind.make(7)) == str(kind.make(7))
        assert len({str(kind.make(seed)) for seed in SEEDS}) > 5
