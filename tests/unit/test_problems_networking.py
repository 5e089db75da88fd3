"""Exercises on networks are solved by playing them on the model."""

from xenlab.problems.networking import WhoReaches, WhoseAddress


def test_answers_differ():
    assert {WhoReaches.make(seed).solve() for seed in range(30)} == {"yes", "no"}
    assert {WhoseAddress.make(seed).solve() for seed in range(30)} == {"dom0", "client"}


def test_only_a_bridge_leaves_the_clients_address_on_the_guests_vif():
    for seed in range(30):
        problem = WhoseAddress.make(seed)
        assert (problem.solve() == "client") == (problem.kind == "bridge" or problem.link == "lan0")
