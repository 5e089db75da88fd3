"""How fast the device models are: requests through a ring, data through a whole driver; notifications saved."""

from __future__ import annotations

from collections.abc import Callable

from bench.row import Row, seconds
from xenlab.devices import blkif
from xenlab.devices.machine import Machine
from xenlab.devices.ring import PAGE_SIZE, BackRing, FrontRing, initialise
from xenlab.devices.vbd import attach
from xenlab.storage.blockdev import MemoryDisk


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


def rates(run: Callable[[], object], requests: int, runs: int) -> tuple[float, ...]:
    """Requests a second, of each of several runs; of every run the best of ten turns, for the machine does more."""
    return tuple(requests / min(seconds(run, 10)) for _ in range(runs))


def rows() -> list[Row]:
    table = []
    for batch in (1, 8, 32):
        target = 150_000 if batch == 32 else None
        measured = rates(lambda batch=batch: ring_pass(batch, 512), 512, 20)
        table.append(Row(f"blkif ring, groups of {batch}", measured, "requests/s", target, at_least=True))
    for batch in (1, 8, 32):
        saved = 100 * (1 - ring_pass(batch, 1024) / (2 * 1024))
        name = f"notifications saved, groups of {batch}, against one a request and one a response"
        table.append(Row(name, (saved,), "%", 95 if batch == 32 else None, at_least=True))
    for size, persistent in ((4096, True), (4096, False), (44 * 1024, True)):
        grants = "persistent grants" if persistent else "a grant for each use"
        measured = rates(disk_pass(size, 96, persistent=persistent), 96, 5)
        table.append(Row(f"split driver, {size // 1024} KiB writes, {grants}", measured, "requests/s", None))
    return table
