"""Who goes where: bin packing, the arithmetic of consolidation.

An item is what a domain takes (of CPU, of memory, …), a room is what a host has of each. To pack into the fewest rooms
is NP-hard, so these are rules of thumb, each with what is known of it:

* `first_fit_decreasing`: the largest first, each into the first room where it fits. Where only one resource counts and
  rooms are equal, it takes at most 11/9 of the fewest possible rooms and 6/9 of one more (G. Dósa, *The Tight Bound of
  First Fit Decreasing Bin-Packing Algorithm Is FFD(I) ≤ 11/9 OPT(I) + 6/9*, ESCAPE 2007).
* `best_fit_decreasing`: the largest first, each into the room that it fills best (D. S. Johnson, *Near-Optimal Bin
  Packing Algorithms*, PhD thesis, MIT 1973).
* `dot_product`: one room after another; into each goes, again and again, the item whose shape is most like the space
  that is left (R. Panigrahy, K. Talwar, L. Uyeda, U. Wieder, *Heuristics for Vector Bin Packing*, Microsoft Research
  2011). It was made for many resources at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from xenlab.datacenter.cluster import DatacenterError, Floats, Ints

#: For rounding errors of sums.
_TINY = 1e-9

#: A packing: items (a row each, a column a resource) and rooms (likewise) to the room of each item.
Packing = Callable[[Floats, Floats], Ints]


class NoRoom(DatacenterError):
    """Items that do not fit."""


def first_fit_decreasing(items: Floats, rooms: Floats) -> Ints:
    """Pack the largest items first, each into the first room that has enough of everything.

    Args:
        items: What each item takes: a row an item, a column a resource.
        rooms: What each room has: a row a room, the same columns.

    Returns:
        The room of each item.

    Raises:
        NoRoom: An item fits nowhere.

    >>> sizes = np.array([[4], [3], [6], [7]])
    >>> first_fit_decreasing(sizes, np.full((4, 1), 10.0)).tolist()
    [1, 0, 1, 0]

    """
    return _item_by_item(items, rooms, _first)


def best_fit_decreasing(items: Floats, rooms: Floats) -> Ints:
    """Pack the largest items first, each into the room where the least is left over.

    The arguments are those of `first_fit_decreasing`. What is left over is counted in shares of the largest room.

    >>> sizes, rooms = np.array([[6], [5], [3]]), np.array([[10.0], [8.0], [10.0]])
    >>> best_fit_decreasing(sizes, rooms).tolist(), first_fit_decreasing(sizes, rooms).tolist()
    ([1, 0, 0], [0, 1, 0])
    """
    return _item_by_item(items, rooms, _fullest)


def dot_product(items: Floats, rooms: Floats) -> Ints:
    """Fill one room after another with the items whose shape is most like the space left in it.

    The arguments are those of `first_fit_decreasing`. Each resource counts by how much of it all the items want.

    A room of 10 CPUs and 10 GiB takes one item that wants CPU and one that wants memory:

    >>> items = np.array([[7, 2], [7, 2], [2, 7], [2, 7]])
    >>> dot_product(items, np.full((4, 2), 10.0)).tolist()
    [0, 1, 0, 1]
    """
    sizes, left = _in_shares(items, rooms)
    weight = sizes.mean(axis=0)
    room_of = np.full(len(sizes), -1, dtype=np.int64)
    waiting = np.arange(len(sizes))
    for room in range(len(left)):
        while waiting.size:
            fits = (sizes[waiting] <= left[room] + _TINY).all(axis=1)
            if not fits.any():
                break
            alike = np.where(fits, sizes[waiting] @ (weight * left[room]), -1.0)
            place = int(alike.argmax())
            room_of[waiting[place]] = room
            left[room] -= sizes[waiting[place]]
            waiting = np.delete(waiting, place)
    if waiting.size:
        raise _does_not_fit(int(waiting[0]), items)
    return room_of


#: The packings by name.
PACKINGS: Mapping[str, Packing] = {
    "first fit decreasing": first_fit_decreasing,
    "best fit decreasing": best_fit_decreasing,
    "dot product": dot_product,
}


def _item_by_item(items: Floats, rooms: Floats, choose: Callable[[Floats, Ints], int]) -> Ints:
    sizes, left = _in_shares(items, rooms)
    room_of = np.full(len(sizes), -1, dtype=np.int64)
    for item in np.argsort(-sizes.sum(axis=1), kind="stable"):
        (fits,) = (left + _TINY >= sizes[item]).all(axis=1).nonzero()
        if not fits.size:
            raise _does_not_fit(int(item), items)
        room = choose(left, fits)
        room_of[item] = room
        left[room] -= sizes[item]
    return room_of


def _first(left: Floats, fits: Ints) -> int:
    return int(fits[0])


def _fullest(left: Floats, fits: Ints) -> int:
    return int(fits[left[fits].sum(axis=1).argmin()])


def _in_shares(items: Floats, rooms: Floats) -> tuple[Floats, Floats]:
    """Both as shares of the largest room, so that CPUs and MiB can be added."""
    items, rooms = np.asarray(items, dtype=float), np.asarray(rooms, dtype=float)
    if items.ndim != 2 or rooms.ndim != 2 or items.shape[1] != rooms.shape[1]:
        raise DatacenterError(
            f"items(of shape {items.shape}) and rooms(of shape {rooms.shape}) must be tables with equal columns"
        )
    largest = np.maximum(rooms.max(axis=0), _TINY)
    return items / largest, rooms / largest


def _does_not_fit(item: int, items: Floats) -> NoRoom:
    sizes = ", ".join(f"{size:g}" for size in np.asarray(items)[item])
    return NoRoom(f"item {item} (of size {sizes}) must fit into a room: add rooms, or larger ones")
