"""Exercises on stack machines agree with the verifier."""

from xenlab.problems.application import WhereIsItRefused


def test_some_code_is_refused_and_some_is_not():
    places = {WhereIsItRefused.make(seed).solve() for seed in range(40)}
    assert -1 in places
    assert len(places) > 2


def test_where_nothing_is_refused_the_verifier_agrees():
    from xenlab.application.stackvm import verify

    for seed in range(40):
        problem = WhereIsItRefused.make(seed)
        if problem.solve() == -1:
            verify(problem.code)
