"""Scheduling exercises agree with the models."""

import re
from collections import Counter
from itertools import pairwise

import pytest

from xenlab.problems.scheduling import Effect, Grants, Share
from xenlab.scheduling import Busy, Credit2Parameters, Domain, Idle, System, predict, simulate

KINDS = (Share, Grants, Effect)


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_spread(kind):
    assert len(Counter(kind.make(seed).solve() for seed in range(60))) >= (3 if kind is Effect else 6)


def test_the_model_gives_the_shares_that_are_asked_for():
    for problem in {(p.weights, p.vcpus): p for p in map(Share.make, range(40))}.values():
        each = zip(problem.names, problem.weights, problem.vcpus, strict=True)
        domains = tuple(Domain(name, vcpus, weight) for name, weight, vcpus in each)
        share = predict(System(domains, 1, Credit2Parameters()), 1)[problem.asked]
        assert 100 * share == pytest.approx(problem.solve(), abs=1.2)


def test_the_model_grants_the_credits_that_are_asked_for():
    for problem in map(Grants.make, range(30)):
        domains = tuple(Domain(name, weight=weight, cap=cap) for name, weight, cap in problem.rows)
        jumps = simulate(System(domains, problem.pcpus), 3).credits[f"{problem.asked}.0"]
        granted = [
            after - before
            for (start, before), (end, after) in pairwise(jumps)
            if start == end and after != before
        ]
        assert Counter(granted).most_common(1)[0][0] == problem.solve(), problem


def test_the_model_agrees_with_every_effect():
    effects = {"more": 1, "less": -1, "same": 0}
    for problem in {p.why.split("`")[0]: p for p in map(Effect.make, range(200))}.values():
        web = re.search(r"guest `(\w+)`", problem.question)[1]
        name, option, value = re.search(r"-d (\w+) -(\w) (\d+)", problem.given).groups()
        changed = {"web" if name == web else "other": {{"w": "weight", "c": "cap"}[option]: int(value)}}
        difference = share_of_web(problem.question, changed) - share_of_web(problem.question, {})
        assert effects[problem.solve()] == round(difference, 1) / max(0.1, abs(round(difference, 1))), problem


def share_of_web(question, settings):
    cpus = (1,) if "another pCPU" in question else (0,)
    workload = Busy() if "just as busy" in question else Idle()
    web = Domain("web", cpus=(0,), **settings.get("web", {}))
    other = Domain("other", cpus=cpus, workload=workload, **settings.get("other", {}))
    return predict(System((web, other), max(cpus) + 1), 6)["web"]
