"""How full a snapshot gets: its room against what is written to its origin.

Only the first write to a chunk costs room, so what counts is how many *different* chunks are written. Writes
at random places hit the same chunk again more and more often; writes one after the other never do until they
begin anew.

Source: Linux, drivers/md/dm-snap-persistent.c for the layout: a header, then areas of one chunk of records and
the chunks they tell of.
"""

from __future__ import annotations

from typing import Literal

from xenlab.storage.blockdev import StorageError

Pattern = Literal["random", "in order"]
RECORD = 16  # bytes


def different_chunks(writes: int, chunks: int, pattern: Pattern) -> float:
    """Return how many different chunks so many writes of one chunk each touch, on average.

    Arguments: `writes`; `chunks` of the volume; `pattern`, where the writes go.

    >>> different_chunks(1000, 1000, "in order"), round(different_chunks(1000, 1000, "random"))
    (1000.0, 632)
    """
    if writes < 0 or chunks < 1:
        raise StorageError(f"writes(={writes}) must not be negative, chunks(={chunks}) must be at least 1")
    if pattern == "in order":
        return float(min(writes, chunks))
    return chunks * (1.0 - (1.0 - 1.0 / chunks) ** writes)


def used_chunks(exceptions: float, chunk_size: int = 4096) -> float:
    """Return how many chunks of its device a snapshot with so many exceptions takes: header, areas and copies.

    >>> used_chunks(0), used_chunks(10), used_chunks(256)
    (2, 12, 259)
    """
    areas = exceptions // (chunk_size // RECORD) + 1
    return 1 + areas + exceptions


def fullness(writes: int, volume: int, room: int, pattern: Pattern, chunk_size: int = 4096) -> float:
    """Return how full a snapshot is on average, from 0 to 1; 1 means that it is lost.

    Arguments: `writes` of one chunk each; `volume` and `room` in bytes; `pattern`, where the writes go.

    >>> f"{fullness(1000, 100 << 20, 8 << 20, 'in order'):.1%}"
    '49.1%'
    """
    exceptions = different_chunks(writes, volume // chunk_size, pattern)
    return min(1.0, used_chunks(exceptions, chunk_size) * chunk_size / room)
