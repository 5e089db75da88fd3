"""What happened in a run: one row for every decision, as a table and as the bars of a Gantt chart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

    from xenlab.scheduling.core import VCpu

#: `run`: given a pCPU; `preempt`, `block`, `park` (its cap is used up), `pause`, `migrate`: lost it, and why;
#: `wake`: ready again, `boost`: ready and ahead of the others, `unpark`; `steal`: taken from another pCPU's queue;
#: `account`, `reset`: its credit after credit's accounting, or after a credit2 reset.
Event = Literal[
    "run", "preempt", "block", "park", "pause", "migrate", "wake", "boost", "unpark", "steal", "account", "reset"
]


class Row(NamedTuple):
    """One event of one vCPU: when (ns), on which pCPU, and its credit and priority then."""

    time: int
    pcpu: int
    vcpu: str
    credit: int
    priority: int
    event: Event


class Bar(NamedTuple):
    """One stay of a vCPU on a pCPU, from `start` to `end` (ns), with its credit at both ends."""

    pcpu: int
    vcpu: str
    start: int
    end: int
    credit_before: int
    credit_after: int


_OFF: frozenset[Event] = frozenset(("preempt", "block", "park", "pause", "migrate"))


@dataclass
class Trace:
    """The record of a run.

    Schedulers append to `rows`; an accounting, which touches every vCPU, is kept as one snapshot and unrolled when
    the trace is read.
    """

    rows: list[tuple[int, int, str, int, int, Event]] = field(default_factory=list)
    _snapshots: list[tuple[int, Event, tuple[VCpu, ...], list[int], list[int]]] = field(default_factory=list)

    def snapshot(self, time: int, event: Event, vcpus: tuple[VCpu, ...]) -> None:
        """Record credit and priority of all `vcpus` at once."""
        self._snapshots.append((time, event, vcpus, [v.credit for v in vcpus], [v.pri for v in vcpus]))
        self.rows.append((time, -1, "", len(self._snapshots) - 1, 0, event))

    def __iter__(self) -> Iterator[Row]:
        """All rows, in the order in which they happened."""
        for row in self.rows:
            if row[2]:
                yield Row(*row)
            else:
                time, event, vcpus, credits, priorities = self._snapshots[row[3]]
                for vcpu, credit, priority in zip(vcpus, credits, priorities, strict=True):
                    yield Row(time, vcpu.cpu.number, vcpu.name, credit, priority, event)

    def bars(self, until: int) -> list[Bar]:
        """Who was on which pCPU, when: the bars of a Gantt chart; those still open end at `until`."""
        bars: list[Bar] = []
        running: dict[str, tuple[int, int, int]] = {}
        for time, pcpu, vcpu, credit, _, event in self.rows:
            if event == "run":
                running[vcpu] = (pcpu, time, credit)
            elif event in _OFF and vcpu in running:
                cpu, start, before = running.pop(vcpu)
                bars.append(Bar(cpu, vcpu, start, time, before, credit))
        bars += [Bar(cpu, vcpu, start, until, before, before) for vcpu, (cpu, start, before) in running.items()]
        return bars

    def table(self, priorities: dict[int, str]) -> pd.DataFrame:
        """The trace as a `pandas.DataFrame`: time (s), pcpu, vcpu, credit, priority (its name), event."""
        import pandas as pd

        frame = pd.DataFrame(list(self), columns=list(Row._fields))
        frame["time"] = frame["time"] / 1e9
        frame["priority"] = frame["priority"].map(priorities).fillna("")
        for column in ("vcpu", "priority", "event"):
            frame[column] = frame[column].astype("category")
        return frame
