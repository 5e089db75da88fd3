"""The box: how soon a student has a real Xen, and a guest on it."""

from __future__ import annotations

import os
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
    """Measure every image that is built here: with the stock kernel in the guests, and with the small one."""
    return [row for each in image.built() for row in _rows(each)]


def _rows(found: image.Image) -> list[Row]:
    os.environ["XENLAB_BOX"] = str(found.folder)
    kernel, memory, limit = ("small", 64, 4) if found.small_guest else ("stock", 128, 8)
    starts = []
    for _ in range(RUNS):
        host, took = start()
        starts.append(took)
        host.close()
    result = [
        Row(f"{kernel} kernel: process start to the first `xl list`", tuple(starts), "s", 4),
        Row(f"{kernel} kernel: image on disk", (found.bytes_on_disk / 2**20,), "MiB", 400),
    ]
    host, _ = start()
    with host:
        trips = []
        for _ in range(4 * RUNS):
            begin = time.perf_counter()
            host.xl("list")
            trips.append(time.perf_counter() - begin)
        result.append(Row("`xl list` round trip", tuple(trips), "s", 0.4))
        for kind in ("pv", "pvh"):
            times = [create(host, number, type=kind, memory=memory) for number in range(RUNS)]
            what = f"`xl create`, {kind} guest, {kernel} kernel, {memory} MiB"
            result.append(Row(f"{what}: first console line", tuple(first for first, _ in times), "s", limit))
            result.append(Row(f"{what}: its init has run", tuple(ready for _, ready in times), "s", None))
        disk = ("/dev/vdc,raw,xvda,rw",)
        times = [create(host, n, memory=memory, disks=disk, vifs=("bridge=xenbr0",)) for n in range(RUNS)]
        result.append(
            Row(
                f"the pv guest, {kernel} kernel, with a disk and a bridged vif",
                tuple(first for first, _ in times),
                "s",
                12,
            )
        )
        result.append(Row("QEMU's resident memory after all this", (resident(host),), "GiB", 1.2))
    return result
