"""Which extents a logical volume gets: LVM's policies *contiguous*, *cling* and *normal*, tried in this order.

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


def allocate(needed: int, free: Sequence[Area], last: Area | None = None) -> list[Area]:
    """Choose extents for a volume.

    Arguments: `needed` extents; `free`, all free areas of the group, by physical volume and start, together
    at least as large; `last`, the last piece of a volume that grows, None for a new one. Returns the areas in
    the order in which the volume uses them.

    >>> free = [Area(0, 50, 20), Area(0, 120, 10), Area(0, 190, 65), Area(1, 0, 255)]
    >>> allocate(8, free)
    [Area(pv=0, first=120, count=8)]
    >>> allocate(8, free, last=Area(0, 180, 10))
    [Area(pv=0, first=190, count=8)]
    >>> allocate(300, free)
    [Area(pv=1, first=0, count=255), Area(pv=0, first=190, count=45)]
    """
    rest = list(free)
    if last is not None:
        follows = [area for area in rest if area.pv == last.pv and area.first == last.first + last.count]
        if follows and follows[0].count >= needed:
            return [Area(last.pv, follows[0].first, needed)]
    chosen: list[Area] = []
    while needed:
        area = _cling(rest, chosen[-1] if chosen else last) or _best(rest, needed)
        taken = Area(area.pv, area.first, min(needed, area.count))
        chosen.append(taken)
        rest.remove(area)
        if taken.count < area.count:
            rest.append(Area(area.pv, area.first + taken.count, area.count - taken.count))
        needed -= taken.count
    return chosen


def _cling(areas: Sequence[Area], last: Area | None) -> Area | None:
    """The largest area on the disk that the volume is on already."""
    if last is None:
        return None
    return max((area for area in areas if area.pv == last.pv), key=lambda area: area.count, default=None)


def _best(areas: Sequence[Area], needed: int) -> Area:
    """Of each disk the smallest area that is large enough, or its largest; of these the one that gives most."""
    candidates = []
    for pv in sorted({area.pv for area in areas}):
        here = [area for area in areas if area.pv == pv]
        enough = [area for area in here if area.count >= needed]
        candidates.append(
            min(enough, key=lambda area: (area.count, -area.first))
            if enough
            else max(here, key=lambda area: area.count)
        )
    return max(candidates, key=lambda area: min(area.count, needed))
