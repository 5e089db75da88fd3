"""Exercises on storage: the models agree with their solutions."""

import pytest

from xenlab.problems.storage import ChunksUsed, FreeExtents, WhoServes
from xenlab.storage.blockdev import MemoryDisk
from xenlab.storage.lvm import Lvm, run

SEEDS = range(40)


@pytest.mark.parametrize("seed", SEEDS)
def test_lvm_leaves_as_many_extents_as_the_solution_says(seed):
    problem = FreeExtents.make(seed)
    lvm = Lvm({"/dev/xvdb": MemoryDisk((problem.total * 4 + 1) << 20)})
    run(lvm, ["vgcreate", "vg0", "/dev/xvdb"])
    for line in problem.given.splitlines():
        assert run(lvm, line.split()).ok
    assert lvm.group("vg0").free == problem.solve()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_snapshot_uses_as_many_chunks_as_the_solution_says(seed):
    problem = ChunksUsed.make(seed)
    lvm = Lvm({"/dev/xvdb": MemoryDisk(101 << 20)})
    lvm.create_vg("vg0", ["/dev/xvdb"])
    web = lvm.create_lv("vg0", "web", 1)
    monday = lvm.create_snapshot(web, "monday", 2)
    for start, length in problem.writes:
        web.write(start << 10, b"x" * (length << 10))
    assert monday.snapshot.store.used_sectors // 8 == problem.solve()


def test_every_layer_is_the_answer_now_and_then():
    depths = {(*(problem := WhoServes.make(seed)).names, "nobody").index(problem.solve()) for seed in SEEDS}
    assert depths == {0, 1, 2, 3, 4}


def test_a_layer_that_is_hidden_is_told_apart_from_one_that_has_nothing():
    problem = next(
        problem
        for problem in map(WhoServes.make, SEEDS)
        if problem.solve() == problem.names[0] and problem.held[3][problem.block] == "x"
    )
    assert "a layer above it has it too" in problem.hint(problem.names[3])
