"""How fast migrations are simulated, how much memory that takes, and how fast a saved domain is read."""

from __future__ import annotations

import io
import tracemalloc

from bench.row import Row, seconds
from xenlab.migration.policies import AdaptiveRate, Legacy, Policy, Xen417
from xenlab.migration.postcopy import postcopy
from xenlab.migration.precopy import Precopy, migrate
from xenlab.migration.rounds import Guest, Migration, Path
from xenlab.migration.stream import read_save
from xenlab.migration.streamwriter import write_save
from xenlab.migration.workloads import hot_cold

LINK = Path(mbit=10_000)
POLICIES: tuple[Policy, ...] = (Xen417(), Legacy(), AdaptiveRate(low=1000, high=8000))


def move(gib: int, policy: Policy) -> Migration:
    """A guest with a sixteenth of its memory hot, written at 400 MiB/s, and 20 MiB/s elsewhere, over 10 Gbit/s."""
    mib = 1024 * gib
    return migrate(Guest(mib), hot_cold(mib, mib / 16, 400, 20), policy, LINK)


def peak_mib(gib: int) -> float:
    """The most memory that numpy and Python held during a migration, in MiB."""
    tracemalloc.start()
    move(gib, Legacy())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def rows() -> list[Row]:
    table: list[Row] = []
    for gib, target, runs in ((4, 300, 7), (64, 6000, 3)):
        for policy in POLICIES:
            rounds = len(move(gib, policy).rounds)
            name = f"pre-copy of {gib} GiB, all {rounds} rounds, {policy.name}"
            times = seconds(lambda gib=gib, policy=policy: move(gib, policy), runs)
            table.append(Row(name, tuple(1000 * each for each in times), "ms", target))
    bitmaps = Precopy(Guest(64), hot_cold(64, 4, 40, 2), Xen417())
    maps = (bitmaps.dirty, bitmaps.to_send, bitmaps.sent, bitmaps.zero)
    bits = max(8 * flags.nbytes / bitmaps.guest.pages for flags in maps)
    table.append(Row("memory of a bitmap", (bits,), "bits/page", 8))
    table.append(Row("peak memory, pre-copy of 64 GiB", (peak_mib(64),), "MiB", 512))
    guest, load = Guest(4096), hot_cold(4096, 256, 400, 20)
    times = seconds(lambda: postcopy(guest, load, LINK), 5)
    table.append(Row("post-copy of 4 GiB", tuple(1000 * each for each in times), "ms", 1000))
    file = io.BytesIO()
    write_save(file, {}, ((pfn, b"x") for pfn in range(16384)))
    times = seconds(lambda: (file.seek(0), read_save(file)), 5)
    table.append(
        Row("reading a saved domain", tuple(64 / each for each in times), "MiB/s", 200, at_least=True)
    )
    return table
