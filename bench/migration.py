"""How fast guests move between two boxes, and how fast migrations are simulated, in how much memory."""

from __future__ import annotations

import io
import os
import tracemalloc

from bench.row import Row, seconds
from xenlab.hosts.box import image
from xenlab.hosts.pair import connect_pair
from xenlab.migration.driver import Migration
from xenlab.migration.policies import AdaptiveRate, Legacy, Policy, Xen417
from xenlab.migration.postcopy import postcopy
from xenlab.migration.precopy import Precopy, migrate
from xenlab.migration.rounds import Guest, Path
from xenlab.migration.rounds import Migration as Simulated
from xenlab.migration.stream import read_save
from xenlab.migration.streamwriter import write_save
from xenlab.migration.workloads import hot_cold

LINK = Path(mbit=10_000)
MOVES = 3
POLICIES: tuple[Policy, ...] = (Xen417(), Legacy(), AdaptiveRate(low=1000, high=8000))


def move(gib: int, policy: Policy) -> Simulated:
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


def moved() -> list[Row]:
    """A guest of 64 MiB with the small kernel, of 80 MiB with Debian's, goes to and fro between two boxes."""
    found = max(image.built(), key=lambda each: each.small_guest)
    os.environ["XENLAB_BOX"] = str(found.folder)
    memory = 64 if found.small_guest else 80
    result = []
    with connect_pair("box") as pair:
        pair.a.create(name="web", type="pvh", memory=memory, workload="clock").wait_for("clock 3", 200)
        migration = Migration(pair.hosts)
        for way, limit in ((migration.live, 30), (migration.warm, None), (migration.cold, None)):
            moves = [way("web") for _ in range(MOVES)]
            what = f"{moves[0].kind} migration of {memory} MiB between two boxes"
            result.append(Row(what, tuple(each.seconds for each in moves), "s", limit))
            result.append(
                Row(f"{what}: without an answer", tuple(each.downtime for each in moves), "s", None)
            )
    return result


def rows() -> list[Row]:
    table = moved()
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
