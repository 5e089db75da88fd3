"""Which extents a logical volume gets: LVM's policies *contiguous*, *cling* and *normal*, in this order.

A volume in one piece is best. One that grows stays on its disk if it can. Otherwise the largest pieces are
taken, so that they are few.

Source: LVM2, lib/metadata/lv_manip.c: _find_some_parallel_space; lib/metadata/pv_map.c.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Area:
    """Extents in a row on one physical volume: its number in the group, the first extent and how many."""

    pv: int
    first: int
    count: int


def allocate(needed: int, free: Sequence[Area], held: Sequence[Area] = ()) -> list[Area]:
    """Choose extents for a volume.

    Arguments: `needed` extents; `free`, all free areas of the group, by physical volume and start, together
    at least as large; `held`, the areas that a growing volume has already, in their order. Returns the new
    areas in the order in which the volume uses them.

    >>> free = [Area(0, 50, 20), Area(0, 120, 10), Area(0, 190, 65), Area(1, 0, 255)]
    >>> allocate(8, free)
    [Area(pv=0, first=120, count=8)]
    >>> allocate(70, free, held=[Area(0, 180, 10)])
    [Area(pv=0, first=190, count=65), Area(pv=0, first=50, count=5)]
    >>> allocate(300, free)
    [Area(pv=1, first=0, count=255), Area(pv=0, first=190, count=45)]
    """
    rest = list(free)
    chosen: list[Area] = []
    while needed:
        mine = [*held, *chosen]
        area = _next_to(rest, mine) or _cling(rest, mine, needed) or _best(rest, needed)
        taken = Area(area.pv, area.first, min(needed, area.count))
        chosen.append(taken)
        rest.remove(area)
        if taken.count < area.count:
            rest.append(Area(area.pv, area.first + taken.count, area.count - taken.count))
        needed -= taken.count
    return chosen


def _next_to(areas: Sequence[Area], mine: Sequence[Area]) -> Area | None:
    """*Contiguous*: the area right after the volume's last one."""
    if not mine:
        return None
    last = mine[-1]
    return next((area for area in areas if (area.pv, area.first) == (last.pv, last.first + last.count)), None)


def _cling(areas: Sequence[Area], mine: Sequence[Area], needed: int) -> Area | None:
    """*Cling*: the largest area of each disk that the volume is on already; of these the one that gives most."""
    disks = {area.pv for area in mine}
    here = sorted((area for area in areas if area.pv in disks), key=lambda area: (area.pv, -area.count))
    return max(here, key=lambda area: min(area.count, needed), default=None)


def _best(areas: Sequence[Area], needed: int) -> Area:
    """*Normal*: of each disk the area that fits, or its largest; of these the one that gives most."""
    candidates = [_fitting(areas, pv, needed) for pv in sorted({area.pv for area in areas})]
    return max(candidates, key=lambda area: min(area.count, needed))


def _fitting(areas: Sequence[Area], pv: int, needed: int) -> Area:
    """From the largest area of a disk on, go to a smaller one while it is enough and spoils less.

    A smaller area is better only if it is smaller than what would be left of the larger one: LVM2 puts the
    rest back into its list, sorted by size, and goes on from there.
    """
    largest, *others = sorted(
        (area for area in areas if area.pv == pv), key=lambda area: (-area.count, area.first)
    )
    chosen = largest
    for area in others:
        if needed <= area.count < chosen.count - needed:
            chosen = area
    return chosen
