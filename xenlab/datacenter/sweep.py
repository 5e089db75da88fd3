"""Many simulated days with different parameters, on all cores of one machine or on many machines.

A cell of a sweep is one combination of values. Its seed follows from its place in the table and from nothing else. So
it does not matter who computes it, when, or how often: a worker that is lost changes no result.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from xenlab.datacenter.cluster import DatacenterError

if TYPE_CHECKING:
    import pandas as pd

#: What is swept: it takes the values of a cell and a `seed`, and returns figures by name.
Experiment = Callable[..., Mapping[str, float]]


@dataclass(frozen=True)
class Sweep:
    """What came out: for each cell its values, its seed and its figures, in the order of the table."""

    axes: Mapping[str, tuple[Any, ...]]
    cells: tuple[Mapping[str, Any], ...]

    def frame(self) -> pd.DataFrame:
        """All cells as a table, a row each."""
        import pandas as pd

        return pd.DataFrame(list(self.cells))

    def table(self, figure: str) -> pd.DataFrame:
        """One figure over the first two axes, its mean over all else."""
        names = list(self.axes)
        if len(names) < 2 or figure not in self.cells[0]:
            raise DatacenterError(f"figure(={figure!r}) must be one that was computed, over two axes")
        rows, columns = names[0], names[1]
        mean = self.frame().groupby([rows, columns], sort=False)[figure].mean()
        return mean.unstack(columns).loc[list(self.axes[rows]), list(self.axes[columns])]


def seed_of(seed: int, place: Sequence[int]) -> int:
    """The seed of the cell at `place` of a sweep with this `seed`.

    >>> seed_of(1, (0, 1)) == seed_of(1, (0, 1)), seed_of(1, (0, 1)) == seed_of(1, (1, 0))
    (True, False)
    """
    return int(np.random.SeedSequence(seed, spawn_key=tuple(place)).generate_state(1)[0])


def sweep(
    experiment: Experiment,
    axes: Mapping[str, Iterable[Any]],
    *,
    repeats: int = 1,
    seed: int = 0,
    jobs: int = 1,
    address: str | None = None,
    progress: bool = True,
) -> Sweep:
    """Compute `experiment` for every combination of the values on the `axes`.

    Args:
        experiment: A function of the axes' names and of ``seed``, which returns figures by name.
        axes: The values to try, by name.
        repeats: How often each combination is computed, each time with another seed.
        seed: Equal seeds give equal results.
        jobs: How many processes compute; -1 for one a core.
        address: Where a Dask scheduler listens, such as ``"tcp://10.0.0.5:8786"``; then its workers compute.
        progress: Show how far it is: a bar in a terminal, a line in a notebook.

    Raises:
        DatacenterError: There is nothing to compute.

    >>> times = sweep(lambda a, b, seed: {"product": a * b}, {"a": [1, 2], "b": [3, 5]}, progress=False)
    >>> times.table("product").to_numpy().tolist()
    [[3.0, 5.0], [6.0, 10.0]]

    """
    values = {name: tuple(tries) for name, tries in axes.items()}
    shape = [range(len(tries)) for tries in values.values()]
    places = list(product(*shape, range(repeats)))
    if not places or not values:
        raise DatacenterError("axes(=empty) must hold a value at least, and repeats be at least 1")
    tasks = [
        {name: tries[i] for (name, tries), i in zip(values.items(), place, strict=False)}
        | {"seed": seed_of(seed, place)}
        for place in places
    ]
    with _backend(address):
        results = _in_order(experiment, tasks, jobs)
        shown = _shown(results, len(tasks)) if progress else results
        figures = list(shown)
    return Sweep(values, tuple({**task, **figure} for task, figure in zip(tasks, figures, strict=True)))


def _in_order(
    experiment: Experiment, tasks: Sequence[Mapping[str, Any]], jobs: int
) -> Iterator[Mapping[str, float]]:
    from joblib import Parallel, delayed

    run = delayed(experiment)
    return iter(Parallel(n_jobs=jobs, return_as="generator")(run(**task) for task in tasks))


@contextmanager
def _backend(address: str | None) -> Iterator[None]:
    """Joblib computes here, or through the Dask scheduler at this address."""
    with ExitStack() as stack:
        if address is not None:
            from distributed import Client
            from joblib import parallel_config

            stack.enter_context(Client(address))  # type: ignore[no-untyped-call]
            stack.enter_context(parallel_config(backend="dask", wait_for_workers_timeout=30))
        yield


def _shown(results: Iterable[Mapping[str, float]], total: int) -> Iterator[Mapping[str, float]]:
    """Pass results on, and show how many there are."""
    if sys.stdout.isatty():
        from rich.progress import track

        yield from track(results, "sweep", total)
        return
    for done, result in enumerate(results, start=1):
        print(f"\rsweep: {done} of {total} cells", end="" if done < total else "\n", flush=True)
        yield result
