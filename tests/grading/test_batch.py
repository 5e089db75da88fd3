"""A class is graded once and whole, whatever dies on the way: on processes, on a Dask cluster, after a crash."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import standin

from xenlab.commands import XenlabError
from xenlab.grading.batch import TRIES, Dask, Processes, Workers
from xenlab.grading.classroom import grade_class
from xenlab.grading.results import State
from xenlab.grading.store import Entry, Store

HERE = Path(__file__).parent
TWO = Processes(2)
CLASS = [f"student{number:02}" for number in range(12)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50
    ) as started:
        yield started


def graded(
    folder: Path, says: dict[str, str], workers: Workers = TWO, lab: Any = None, secret: str = ""
) -> dict[str, Entry]:
    entries = grade_class(
        lab or standin.lab(),
        [standin.submission(student, says.get(student, "pass")) for student in CLASS],
        Store(folder / "out"),
        workers,
        standin.grade,
        standin.job(folder),
        secret,
        lambda entry, known: None,
    )
    assert [entry.result.student for entry in entries] == CLASS
    return {entry.result.student: entry for entry in entries}


def points(entries: dict[str, Entry]) -> dict[str, float]:
    return {student: entry.result.points for student, entry in entries.items()}


def test_the_same_results_in_the_same_order_wherever_they_are_graded(tmp_path: Path, cluster: Any) -> None:
    says = {CLASS[3]: "fail", CLASS[0]: "sleep 0.3", CLASS[7]: "raise"}
    found = []
    for name, workers in (
        ("one", Processes(1)),
        ("two", Processes(2)),
        ("dask", Dask(cluster.scheduler_address)),
    ):
        (tmp_path / name).mkdir()
        found.append(graded(tmp_path / name, says, workers))
        assert Counter(standin.asked(tmp_path / name)) == Counter(CLASS)
    assert found[0] == found[1] == found[2]
    assert points(found[0]) == {**dict.fromkeys(CLASS, 4.0), CLASS[3]: 1.0, CLASS[7]: 0.0}


def test_a_process_that_dies_loses_no_submission(tmp_path: Path) -> None:
    entries = graded(tmp_path, {CLASS[1]: "kill-once", CLASS[6]: "kill-once"})
    assert points(entries) == dict.fromkeys(CLASS, 4.0)
    asked = Counter(standin.asked(tmp_path))
    assert asked[CLASS[1]] == asked[CLASS[6]] == 2


def test_a_submission_that_always_kills_its_process_stops_nobody_else(tmp_path: Path) -> None:
    entries = graded(tmp_path, {CLASS[4]: "kill"})
    assert points(entries) == {**dict.fromkeys(CLASS, 4.0), CLASS[4]: 0.0}
    assert entries[CLASS[4]].result.problem == f"the process that graded it died, {TRIES} times"
    assert Counter(standin.asked(tmp_path))[CLASS[4]] == TRIES


def test_a_dask_worker_that_dies_loses_no_submission(tmp_path: Path, cluster: Any) -> None:
    says = {CLASS[1]: "kill-once", **dict.fromkeys(CLASS[5:8], "sleep 0.2")}
    assert points(graded(tmp_path, says, Dask(cluster.scheduler_address))) == dict.fromkeys(CLASS, 4.0)


def test_a_dask_cluster_gives_up_what_kills_its_workers_and_goes_on(tmp_path: Path, cluster: Any) -> None:
    from distributed import Client

    with Client(cluster) as client:
        client.run_on_scheduler(lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", 0))
    entries = graded(tmp_path, {CLASS[4]: "kill"}, Dask(cluster.scheduler_address))
    assert points(entries) == {**dict.fromkeys(CLASS, 4.0), CLASS[4]: 0.0}


def test_no_scheduler(tmp_path: Path) -> None:
    with pytest.raises(XenlabError, match="no scheduler answers: start one"):
        graded(tmp_path, {}, Dask("tcp://127.0.0.1:9", patience=0.3))


def test_a_fault_of_the_grader_is_told_and_not_kept(tmp_path: Path) -> None:
    entries = graded(tmp_path, {CLASS[2]: "raise"})
    result = entries[CLASS[2]].result
    assert result.problem == "the grader failed: RuntimeError: no such luck"
    assert {check.state for task in result.tasks for check in task.checks} == {State.SKIPPED}
    assert (result.points, result.possible) == (0, 4)
    graded(tmp_path, {CLASS[2]: "raise"})
    assert Counter(standin.asked(tmp_path)) == {**dict.fromkeys(CLASS, 1), CLASS[2]: 2}


@pytest.mark.parametrize("on", ["processes", "dask"])
def test_what_nobody_can_be_graded_for_ends_the_batch(tmp_path: Path, cluster: Any, on: str) -> None:
    workers = Dask(cluster.scheduler_address) if on == "dask" else TWO
    with pytest.raises(XenlabError, match="no sandbox here"):
        graded(tmp_path, dict.fromkeys(CLASS, "cannot"), workers)
    assert len(standin.asked(tmp_path)) < len(CLASS)


def test_a_second_run_redoes_nothing_but_what_has_changed(tmp_path: Path) -> None:
    first = graded(tmp_path, {})
    assert graded(tmp_path, {}) == first
    assert len(standin.asked(tmp_path)) == 12
    graded(tmp_path, {CLASS[5]: "fail"})
    assert standin.asked(tmp_path)[12:] == [CLASS[5]]
    graded(tmp_path, {CLASS[5]: "fail"}, secret="seed")
    assert len(standin.asked(tmp_path)) == 13 + 12
    changed = standin.lab(**{"check-2": "# HIDDEN first (2 points)\nprint(x + 2)"})
    graded(tmp_path, {CLASS[5]: "fail"}, lab=changed, secret="seed")
    assert len(standin.asked(tmp_path)) == 13 + 12 + 12


def test_what_cannot_be_read_is_not_graded_and_a_torn_result_is(tmp_path: Path) -> None:
    graded(tmp_path, {})
    result = tmp_path / "out" / "results" / f"{CLASS[0]}.json"
    result.write_text(result.read_text()[:100])
    graded(tmp_path, {})
    assert standin.asked(tmp_path)[12:] == [CLASS[0]]
    assert json.loads(result.read_text())["entry"]["result"]["student"] == CLASS[0]
    assert not list(result.parent.glob(".*"))


SCRIPT = """
import sys
sys.path.insert(0, {here!r})
import standin
from pathlib import Path
from xenlab.grading.batch import Processes
from xenlab.grading.classroom import grade_class
from xenlab.grading.store import Store

folder = Path(sys.argv[1])
handed_in = [standin.submission(f"student{{number:02}}", "sleep 0.15") for number in range(12)]
grade_class(standin.lab(), handed_in, Store(folder / "out"), Processes(2), standin.grade, standin.job(folder), "",
            lambda entry, known: None)
"""


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_a_batch_that_is_ended_in_the_middle_goes_on(tmp_path: Path, sign: signal.Signals) -> None:
    script = [sys.executable, "-c", SCRIPT.format(here=str(HERE)), str(tmp_path)]
    process = subprocess.Popen(script, start_new_session=True, stderr=subprocess.DEVNULL)
    results = tmp_path / "out" / "results"
    _until(lambda: len(list(results.glob("student*.json"))) >= 4)
    process.send_signal(sign)
    process.wait(20)
    _until(lambda: not _session(process.pid))  # no worker is left behind
    known = {path.stem for path in results.glob("student*.json")}
    assert 4 <= len(known) < 12
    before = len(standin.asked(tmp_path))
    subprocess.run(script, check=True, timeout=60)
    asked = standin.asked(tmp_path)[before:]
    assert sorted(asked) == sorted(set(CLASS) - known)
    assert points(
        {entry.result.student: entry for entry in Store(tmp_path / "out").entries()}
    ) == dict.fromkeys(CLASS, 4)


def _until(true: Any, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _session(leader: int) -> list[int]:
    """The processes of a session that are alive."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = path.read_text().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(session) == leader and state not in "ZX":
            found.append(int(path.parent.name))
    return found


def test_the_session_of_a_process_is_found() -> None:
    assert os.getpid() in _session(os.getsid(0))
