"""How fast the device models are, measured: requests through a disk's ring, and data through the whole driver.

``python bench/devices.py`` prints the table; `rows` is what ``make bench`` collects. Figures are the best of many short
runs, because the machine does other things too.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from xenlab.devices import blkif
from xenlab.devices.machine import Machine
from xenlab.devices.ring import PAGE_SIZE, BackRing, FrontRing, initialise
from xenlab.devices.vbd import attach
from xenlab.storage.blockdev import MemoryDisk

Row = tuple[str, float, str, float | None, bool]

#: Requests a second that a full ring must move, and the notifications it must save, in per cent.
TARGET, SAVED = 150_000.0, 95.0


def ring_pass(batch: int, requests: int) -> int:
    """Send requests through a 4 KiB page in groups of `batch`, each answered; return the notifications it took.

    All that a ring does is done for each: 112 bytes written and read, 16 bytes back, pushes, final checks.
    """
    page = memoryview(bytearray(PAGE_SIZE))
    initialise(page)
    front, back = FrontRing(page, blkif.PROTOCOL), BackRing(page, blkif.PROTOCOL)
    request, response = blkif.REQUEST.build, blkif.RESPONSE.build
    segment = blkif.pack_segments([blkif.Segment(gref=8)])
    notifications = answered = 0
    for first in range(0, requests, batch):
        ids = range(first, min(first + batch, requests))
        front.put([request((blkif.READ, 1, 51712, id, 8 * id, segment)) for id in ids])
        notifications += front.push()
        more = True
        while more:
            back.put([response((id, operation, blkif.OKAY)) for operation, _, _, id, _, _ in back.take()])
            notifications += back.push()
            more = back.final_check()
        more = True
        while more:
            answered += len(front.take())
            more = front.final_check()
    assert answered == requests
    return notifications


def disk_pass(size: int, requests: int, *, persistent: bool) -> Callable[[], None]:
    """Return a function that writes `requests` pieces of `size` bytes to a disk in memory, 32 at a time."""
    machine = Machine()
    disk = MemoryDisk(64 << 20)
    front = attach(machine, machine.create(1, "bench"), disk, persistent=persistent).front
    data = bytes(range(256)) * (size // 256)

    def run() -> None:
        for first in range(0, requests, 32):
            for number in range(first, first + 32):
                front.submit(blkif.WRITE, number * size // blkif.SECTOR_SIZE, data)
            front.flush()
            machine.run()

    return run


def best(run: Callable[[], object], times: int) -> float:
    """Return the shortest of several runs, in seconds."""
    shortest = float("inf")
    for _ in range(times):
        start = perf_counter()
        run()
        shortest = min(shortest, perf_counter() - start)
    return shortest


def throughput(batch: int, requests: int = 512, times: int = 400) -> float:
    """Return the requests a second that go through the ring and back in groups of `batch`."""
    return requests / best(lambda: ring_pass(batch, requests), times)


def rows() -> list[Row]:
    """Return (what, figure, unit, target or None, whether it is met) for each measurement."""
    table: list[Row] = []
    for batch in (1, 8, 32):
        figure = throughput(batch)
        goal = TARGET if batch == 32 else None
        table.append((f"blkif ring, groups of {batch}", figure, "requests/s", goal, figure >= (goal or 0)))
    for batch in (1, 8, 32):
        saved = 100 * (1 - ring_pass(batch, 1024) / (2 * 1024))
        goal = SAVED if batch == 32 else None
        name = f"notifications saved, groups of {batch}, against one a request and one a response"
        table.append((name, saved, "%", goal, saved >= (goal or 0)))
    for size, persistent in ((4096, True), (4096, False), (44 * 1024, True)):
        figure = 96 / best(disk_pass(size, 96, persistent=persistent), 30)
        grants = "persistent grants" if persistent else "a grant for each use"
        table.append((f"split driver, {size // 1024} KiB writes, {grants}", figure, "requests/s", None, True))
    return table


if __name__ == "__main__":
    for what, measured, unit, target, ok in rows():
        verdict = f"target {target:,.0f} {'met' if ok else 'MISSED'}" if target else ""
        print(f"{what:85} {measured:>12,.1f} {unit:12} {verdict}")
