"""The box: how soon a student has a real Xen, and a guest on it."""

from __future__ import annotations

import time
from pathlib import Path

from bench.row import Row
from xenlab.hosts.box import image
from xenlab.hosts.box.box import Box
from xenlab.hosts.host import Host

RUNS = 5


def start() -> tuple[Host, float]:
    begin = time.perf_counter()
    host = Host(Box())
    host.xl("list")
    return host, time.perf_counter() - begin


def create(host: Host, number: int, **options: object) -> tuple[float, float]:
    """Seconds from `xl create` to the guest's first console line, and to its own first word."""
    begin = time.perf_counter()
    with_name = {"name": f"bench{number}", "memory": 128, **options}
    domain = host.create(**with_name)
    domain.wait_for("\n", 300)
    first = time.perf_counter() - begin
    domain.wait_for("xenlab: workload", 300)
    ready = time.perf_counter() - begin
    domain.destroy()
    return first, ready


def resident(host: Host) -> float:
    assert isinstance(host.dom0, Box)
    pid = (host.dom0.run_folder / "qemu.pid").read_text()
    (line,) = [
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")
    ]
    return int(line.split()[1]) / 2**20


def rows() -> list[Row]:
    starts = []
    for _ in range(RUNS):
        host, took = start()
        starts.append(took)
        host.close()
    found = image.find()
    result = [
        Row("process start to the first `xl list`", tuple(starts), "s", 4),
        Row("image on disk", (found.bytes_on_disk / 2**20,), "MiB", 400),
    ]
    host, _ = start()
    with host:
        trips = []
        for _ in range(4 * RUNS):
            begin = time.perf_counter()
            host.xl("list")
            trips.append(time.perf_counter() - begin)
        result.append(Row("`xl list` round trip", tuple(trips), "s", 0.4))
        small = found.small_guest
        limit = 4 if small else 8
        kernel = "small kernel" if small else "stock kernel"
        memory = 64 if small else 128
        for kind in ("pv", "pvh"):
            times = [create(host, number, type=kind, memory=memory) for number in range(RUNS)]
            what = f"`xl create`, {kind} guest, {kernel}, {memory} MiB"
            result.append(Row(f"{what}: first console line", tuple(first for first, _ in times), "s", limit))
            result.append(
                Row(f"{what}: its init has run", tuple(ready for _, ready in times), "s", 3 * limit)
            )
        disk = ("/dev/vdc,raw,xvda,rw",)
        times = [create(host, n, memory=memory, disks=disk, vifs=("bridge=xenbr0",)) for n in range(RUNS)]
        result.append(
            Row("the pv guest with a disk and a bridged vif", tuple(first for first, _ in times), "s", 12)
        )
        result.append(Row("QEMU's resident memory after all this", (resident(host),), "GiB", 1.2))
    return result
