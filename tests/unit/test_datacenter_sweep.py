"""Sweeps: the same results one after another, on two cores, on Dask, and on Dask when a worker is killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from xenlab.datacenter.cluster import DatacenterError
from xenlab.datacenter.fleet import datacenter
from xenlab.datacenter.policies import Hotspots, place
from xenlab.datacenter.simulation import simulate
from xenlab.datacenter.sweep import seed_of, sweep

AXES = {"threshold": [0.7, 0.8, 0.9], "hosts": [9, 10, 12]}


def a_day(threshold, hosts, seed):
    cluster = datacenter(hosts, domains=120, seed=seed)
    return simulate(cluster, place(cluster, by="mean"), Hotspots(threshold), seed=seed).row()


@pytest.fixture(scope="module")
def serial():
    return sweep(a_day, AXES, repeats=2, seed=5, progress=False)


def test_two_processes_compute_the_same(serial):
    assert sweep(a_day, AXES, repeats=2, seed=5, jobs=2, progress=False) == serial


def test_the_order_is_that_of_the_table(serial):
    seen = [(cell["threshold"], cell["hosts"]) for cell in serial.cells]
    assert seen == [(t, h) for t in AXES["threshold"] for h in AXES["hosts"] for _ in range(2)]
    assert serial.table("kWh").shape == (3, 3)
    assert len(serial.frame()) == 18


def test_a_cells_seed_is_its_own():
    seeds = {seed_of(seed, (i, j)) for seed in range(4) for i in range(5) for j in range(5)}
    assert len(seeds) == 100


def test_progress_is_told(capsys):
    sweep(lambda a, seed: {"b": a}, {"a": [1, 2, 3]})
    assert "sweep: 3 of 3 cells" in capsys.readouterr().out


def test_a_terminal_gets_a_bar(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    sweep(lambda a, seed: {"b": a}, {"a": [1, 2, 3]})
    assert "sweep" in capsys.readouterr().out


def test_nothing_to_compute_is_refused():
    with pytest.raises(DatacenterError, match="at least 1"):
        sweep(a_day, {"threshold": [], "hosts": [1]})
    one_axis = sweep(lambda a, seed: {"b": a}, {"a": [1]}, progress=False)
    with pytest.raises(DatacenterError, match="over two axes"):
        one_axis.table("b")


# Run as a program: a Dask cluster of its own, of which it kills a worker in the middle of a sweep.


def cell_of_a_long_sweep(number, times, seed):
    time.sleep(0.15)
    return {"result": number * times + seed % 1000}


LONG = {"number": range(6), "times": range(4)}


def lose_a_worker():
    from distributed import LocalCluster

    serial = sweep(cell_of_a_long_sweep, LONG, seed=9, progress=False)
    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as cluster:
        whole = sweep(cell_of_a_long_sweep, LONG, seed=9, address=cluster.scheduler_address, progress=False)
        before = [worker.pid for worker in cluster.workers.values()]
        threading.Timer(0.6, lambda: os.kill(before[0], signal.SIGKILL)).start()
        maimed = sweep(cell_of_a_long_sweep, LONG, seed=9, address=cluster.scheduler_address, progress=False)
        lost = before[0] not in [worker.pid for worker in cluster.workers.values()]
    print(
        f"equal without loss: {whole == serial}; a worker was lost: {lost}; equal with loss: {maimed == serial}"
    )


def test_a_worker_lost_in_the_middle_changes_nothing():
    done = subprocess.run(
        [sys.executable, str(Path(__file__))], capture_output=True, text=True, timeout=120, check=False
    )
    wanted = "equal without loss: True; a worker was lost: True; equal with loss: True"
    assert wanted in done.stdout, done.stdout + done.stderr


if __name__ == "__main__":
    lose_a_worker()
