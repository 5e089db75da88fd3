"""Hand work to processes or to a Dask cluster, and take each result as it comes; a worker's death loses none.

What a worker had in hand when it died is tried again alone, so that a submission that kills workers is told from one
that only stood beside it; after `TRIES` the student gets a result that says so, and the batch goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from itertools import islice
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Protocol

from xenlab.commands import XenlabError
from xenlab.grading.results import Result

TRIES = 3
_ONE = Lock()


@dataclass(frozen=True)
class Work:
    """One thing to do: what `grade` is called with, and a key that no other work has."""

    key: str
    job: Any


Grade = Callable[[Any], Result]
Begun = Callable[[Work], None]
Done = Result | str  # a string says why there is no result


class Workers(Protocol):
    """Somewhere to work. `each` yields what is done as it is done, and leaves out what a worker died of."""

    def each(self, grade: Grade, todo: Sequence[Work], begun: Begun) -> Iterator[tuple[Work, Done]]:
        """Do the work, and call `begun` for each piece that is handed out."""


def run(workers: Workers, grade: Grade, todo: Sequence[Work]) -> Iterator[tuple[Work, Done]]:
    """Do all the work, in any order: a result for each piece, or words on why there is none.

    Raises `XenlabError` if a worker cannot grade anything: there is no sandbox, or the lab's master is wrong.
    """
    deaths: Counter[str] = Counter()
    left = {work.key: work for work in todo}
    while left:
        alone = next((work for work in left.values() if deaths[work.key]), None)
        begun: dict[str, Work] = {}
        for work, done in workers.each(grade, [alone] if alone else [*left.values()], _noting(begun)):
            del left[work.key], begun[work.key]
            yield work, done
        deaths.update(begun.keys())
        for key in [key for key in begun if deaths[key] >= TRIES]:
            yield left.pop(key), f"the process that graded it died, {TRIES} times"


def _noting(begun: dict[str, Work]) -> Begun:
    def note(work: Work) -> None:
        begun[work.key] = work

    return note


@dataclass(frozen=True)
class Processes:
    """Processes on this machine, through joblib."""

    count: int

    def each(self, grade: Grade, todo: Sequence[Work], begun: Begun) -> Iterator[tuple[Work, Done]]:
        """Do the work; ends early when a process dies."""
        from joblib import Parallel, delayed
        from joblib.externals.loky import get_reusable_executor
        from joblib.externals.loky.process_executor import BrokenProcessPool

        def feed() -> Iterator[Any]:
            for work in todo:
                begun(work)
                yield delayed(_done_for)(os.getpid(), grade, work)

        # For one process joblib would take this one, which a submission could then end: it gets two and uses one.
        parallel = Parallel(
            max(2, self.count), "loky", return_as="generator_unordered", batch_size=1, pre_dispatch=self.count
        )
        works = {work.key: work for work in todo}
        outputs = parallel(feed())
        killed = True  # unless all goes well: Ctrl-C leaves nothing running behind it
        try:
            for key, text in outputs:
                yield works[key], _read(text)
            killed = False
        except BrokenProcessPool:
            return
        finally:
            with warnings.catch_warnings(action="ignore"):  # of what is cancelled: that is meant
                outputs.close()
            get_reusable_executor().shutdown(wait=False, kill_workers=killed)


@dataclass(frozen=True)
class Dask:
    """A Dask cluster, by its scheduler's address.

    Not through joblib's own Dask backend: that waits for ever when Dask gives a task up.
    """

    address: str
    patience: float = 10.0  # seconds to wait for the scheduler's first word

    def each(self, grade: Grade, todo: Sequence[Work], begun: Begun) -> Iterator[tuple[Work, Done]]:
        """Do the work, two pieces in hand for each thread; Dask itself tries again when a worker dies."""
        from distributed import KilledWorker, as_completed

        with _client(self.address, self.patience) as client:
            waiting = iter(todo)
            running: Any = as_completed()  # type: ignore[no-untyped-call]
            works: dict[str, Work] = {}

            def submit(count: int) -> None:
                for work in islice(waiting, max(0, count)):
                    begun(work)
                    future = client.submit(_done, grade, work, pure=False)
                    works[future.key] = work
                    running.add(future)

            submit(_hands(client))
            for future in running:
                submit(_hands(client) - running.count())
                try:
                    _, text = future.result()
                except KilledWorker:
                    continue
                yield works.pop(future.key), _read(text)


@contextmanager
def _client(address: str, patience: float) -> Iterator[Any]:
    from distributed import Client

    try:
        client: Any = Client(address, timeout=patience)  # type: ignore[no-untyped-call]
    except (OSError, TimeoutError, ValueError) as error:
        raise XenlabError(
            f"--dask {address}: no scheduler answers: start one with `dask scheduler`"
        ) from error
    with client:
        try:
            theirs = client.run(version)
        except ImportError as error:
            raise XenlabError(
                f"--dask {address}: a worker has no xenlab ({error}): install it there"
            ) from error
        if others := [worker for worker, its in theirs.items() if its != version()]:
            raise XenlabError(
                f"--dask {address}: another xenlab than here is on {', '.join(others)}: install this one"
            )
        yield client


def _hands(client: Any) -> int:
    return 2 * max(1, int(sum(client.nthreads().values())))


@cache
def version() -> str:
    """Say which grader this is: xenlab's version, and a digest of the grader's own modules."""
    sources = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    return f"{metadata.version('xenlab')}+{hashlib.sha256(sources).hexdigest()[:12]}"


def _done(grade: Grade, work: Work) -> tuple[str, str]:
    """In the worker: grade, one at a time in a process, and give back text: nothing but JSON comes from there."""
    with _ONE:
        try:
            told: dict[str, Any] = {"result": grade(work.job).to_json()}
        except XenlabError as error:
            told = {"cannot": str(error)}
        except Exception as error:  # a fault of the grader, which must not end the batch
            told = {"failed": f"the grader failed: {type(error).__name__}: {error}"}
    return work.key, json.dumps(told)


def _done_for(parent: int, grade: Grade, work: Work) -> tuple[str, str]:
    """In a process of this machine: the same, and end when the process that asks for it has ended, however it did."""
    _end_with(parent)
    return _done(grade, work)


@cache
def _end_with(parent: int) -> None:
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def _read(text: str) -> Done:
    """What a worker gave back; raises `XenlabError` where it cannot grade anything, for want of a sandbox say."""
    told = json.loads(text)
    if "cannot" in told:
        raise XenlabError(told["cannot"])
    return str(told["failed"]) if "failed" in told else Result.from_json(told["result"])
