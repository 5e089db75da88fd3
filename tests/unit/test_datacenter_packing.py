"""Packings: against the fewest rooms that an exact search finds, and against the published bound."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenlab.datacenter.cluster import DatacenterError
from xenlab.datacenter.packing import PACKINGS, NoRoom, dot_product, first_fit_decreasing

ROOM = 60
sizes = st.lists(st.integers(1, ROOM), min_size=1, max_size=12)


def fewest(items):
    """The fewest rooms, by trying every sensible place for each item: branch and bound, exact."""
    items = sorted(items, reverse=True)
    best = len(items)

    def go(number, rooms):
        nonlocal best
        if len(rooms) + max(0, math.ceil((sum(items[number:]) - sum(rooms)) / ROOM)) >= best:
            return
        if number == len(items):
            best = len(rooms)
            return
        for room in {left: i for i, left in enumerate(rooms)}.values():  # equal rooms need only one try
            if rooms[room] >= items[number]:
                go(number + 1, [*rooms[:room], rooms[room] - items[number], *rooms[room + 1 :]])
        go(number + 1, [*rooms, ROOM - items[number]])

    go(0, [])
    return best


def pack(packing, items):
    return packing(np.array(items, dtype=float)[:, None], np.full((len(items), 1), float(ROOM)))


def test_the_exact_search_is_exact():
    assert fewest([30, 30, 30, 30]) == 2
    assert fewest([20, 20, 20, 40, 40, 40]) == 3
    assert fewest([31, 31, 31]) == 3
    assert fewest([24, 24, 12, 36, 24]) == 2


@given(sizes)
def test_first_fit_decreasing_keeps_the_published_bound(items):
    used = len(set(pack(first_fit_decreasing, items).tolist()))
    assert fewest(items) <= used <= 11 / 9 * fewest(items) + 6 / 9


def test_the_worst_case_of_johnson_takes_eleven_rooms_for_nine():
    """Rooms of 100 hold 51 + 26 + 23 or 27 + 27 + 23 + 23: nine are full to the brim."""
    items = np.array([51] * 6 + [27] * 6 + [26] * 6 + [23] * 12, dtype=float)[:, None]
    assert items.sum() == 900
    assert len(set(first_fit_decreasing(items, np.full((30, 1), 100.0)).tolist())) == 11


@pytest.mark.parametrize("name", PACKINGS)
@given(data=st.data())
def test_no_room_is_overfull_and_everybody_has_one(name, data):
    count = data.draw(st.integers(1, 15))
    pairs = st.tuples(st.integers(0, ROOM), st.integers(0, ROOM))
    items = np.array(data.draw(st.lists(pairs, min_size=count, max_size=count)), dtype=float)
    rooms = PACKINGS[name](items, np.full((count, 2), float(ROOM)))
    assert ((rooms >= 0) & (rooms < count)).all()
    for room in range(count):
        assert (items[rooms == room].sum(axis=0) <= ROOM + 1e-6).all()


@pytest.mark.parametrize("name", PACKINGS)
def test_rooms_may_differ_and_what_does_not_fit_is_named(name):
    rooms = np.array([[4.0, 100.0], [16.0, 10.0]])
    assert PACKINGS[name](np.array([[8.0, 8.0], [2.0, 50.0]]), rooms).tolist() == [1, 0]
    with pytest.raises(NoRoom, match=r"item 1 \(of size 8, 50\) must fit"):
        PACKINGS[name](np.array([[2.0, 8.0], [8.0, 50.0]]), rooms)


def test_tables_must_agree():
    with pytest.raises(DatacenterError, match="equal columns"):
        first_fit_decreasing(np.ones((2, 1)), np.ones((2, 2)))


@given(sizes)
def test_with_one_resource_the_dot_product_is_first_fit_decreasing(items):
    assert sorted(pack(dot_product, items).tolist()) == sorted(pack(first_fit_decreasing, items).tolist())


def test_with_two_resources_it_finds_who_goes_together():
    """Domains that want CPU beside domains that want memory: the dot product pairs them, the largest first does not."""
    items = np.array([[30, 15]] * 4 + [[15, 30]] * 4, dtype=float)
    used = {
        name: len(set(packing(items, np.full((8, 2), 100.0)).tolist())) for name, packing in PACKINGS.items()
    }
    assert used == {"first fit decreasing": 3, "best fit decreasing": 3, "dot product": 2}
