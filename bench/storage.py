"""How fast the models of storage move data, and how soon a slider is answered."""

from __future__ import annotations

import io

from bench.row import Row, seconds
from xenlab.storage.blockdev import MemoryDisk
from xenlab.storage.dm_snapshot import Snapshot, SnapshotOrigin
from xenlab.storage.fill_view import SnapshotGauge
from xenlab.storage.lvm import Lvm, run
from xenlab.storage.qcow2 import Image, format_image

CHUNK, CHUNKS = 4096, 4000
CLUSTER, CLUSTERS = 64 * 1024, 400


def first_writes() -> None:
    origin = SnapshotOrigin(MemoryDisk(CHUNKS * CHUNK))
    Snapshot(origin, MemoryDisk(2 * CHUNKS * CHUNK), CHUNK)
    for chunk in range(CHUNKS):
        origin.write(chunk * CHUNK, b"x" * CHUNK)


def copy_up() -> None:
    file = io.BytesIO()
    format_image(file, CLUSTERS * CLUSTER)
    image = Image(file, backing=MemoryDisk(CLUSTERS * CLUSTER))
    for cluster in range(CLUSTERS):
        image.write(cluster * CLUSTER, b"x" * 4096)


def rows() -> list[Row]:
    rates = tuple(CHUNKS / each for each in seconds(first_writes))
    table = [Row("first writes to an origin with a snapshot", rates, "chunks/s", 10_000, at_least=True)]
    rates = tuple(CLUSTERS / each for each in seconds(copy_up))
    table.append(Row("first writes to a qcow2 overlay", rates, "clusters/s", 1000, at_least=True))
    lvm = Lvm({"/dev/xvdb": MemoryDisk(64 << 30)})
    run(lvm, ["vgcreate", "vg", "/dev/xvdb"])
    for number in range(100):
        run(lvm, ["lvcreate", "-L", "100M", "-n", f"lv{number}", "vg"])
    table.append(
        Row(
            "`lvs` of 100 volumes",
            tuple(1000 * each for each in seconds(lambda: run(lvm, ["lvs"]))),
            "ms",
            50,
        )
    )
    gauge, room = SnapshotGauge(), iter(range(1, 64))
    answers = seconds(lambda: setattr(gauge, "room", next(room)), 20)
    table.append(
        Row("the snapshot gauge's answer to a slider", tuple(1000 * each for each in answers), "ms", 60)
    )
    return table
