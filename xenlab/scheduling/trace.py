"""What happened in a run: one row for every decision, as a table and as the bars of a Gantt chart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

    from xenlab.scheduling.parts import VCpu

#: `run`: given a pCPU; `preempt`, `block`, `park` (its cap is used up), `pause`, `migrate`: lost it, and why;
#: `wake`: ready again, `boost`: ready and ahead of the others, `unpark`; `steal`: taken from another pCPU's queue;
#: `account`, `reset`: its credit after credit's accounting, or after a credit2 reset.
Event = Literal[
    "run",
    "preempt",
    "block",
    "park",
    "pause",
    "migrate",
    "wake",
    "boost",
    "unpark",
    "steal",
    "account",
    "reset",
]


class Row(NamedTuple):
    """One event of one vCPU: when (ns), on which pCPU (-1: on any), and its credit and priority then."""

    time: float
    pcpu: int
    vcpu: str
    credit: int
    priority: int
    event: Event


RawRow = tuple[float, int, str, int, int, Event]


class Bar(NamedTuple):
    """One stay of a vCPU on a pCPU, from `start` to `end` (ns), with its credit at both ends."""

    pcpu: int
    vcpu: str
    start: float
    end: float
    credit_before: int
    credit_after: int


_OFF: frozenset[Event] = frozenset(("preempt", "block", "park", "pause", "migrate"))


class Snapshot(NamedTuple):
    """A change of many vCPUs' credit at once: credits before and after, and the priorities that follow from them."""

    vcpus: Sequence[VCpu]
    before: list[int]
    after: list[int]
    priorities: list[int]


@dataclass
class Trace:
    """The record of a run.

    Schedulers `record` rows; an accounting or a reset, which touches many vCPUs, is kept as one snapshot (a row
    without a name, whose credit is the snapshot's number) and unrolled when the trace is read. All fields of all rows
    are in one list: a hundred thousand tuples would cost a fifth more, for the garbage collector visits them.
    """

    _fields: list[Any] = field(default_factory=list)
    _snapshots: list[Snapshot] = field(default_factory=list)

    @property
    def record(self) -> Callable[[RawRow], None]:
        """Append the fields of one row."""
        return self._fields.extend

    def _rows(self) -> Iterator[RawRow]:
        fields = iter(self._fields)
        return zip(fields, fields, fields, fields, fields, fields, strict=True)

    def snapshot(self, time: float, event: Event, snapshot: Snapshot) -> None:
        """Record new credits of many vCPUs. The snapshot's lists must not change any more."""
        self._fields.extend((time, -1, "", len(self._snapshots), 0, event))
        self._snapshots.append(snapshot)

    def __iter__(self) -> Iterator[Row]:
        """All rows, in the order in which they happened."""
        for time, pcpu, name, number, pri, event in self._rows():
            if name:
                yield Row(time, pcpu, name, number, pri, event)
            else:
                vcpus, _, credits, priorities = self._snapshots[number]
                for vcpu, credit, priority in zip(vcpus, credits, priorities, strict=True):
                    yield Row(time, -1, vcpu.name, credit, priority, event)

    def bars(self, until: float) -> list[Bar]:
        """Who was on which pCPU, when: the bars of a Gantt chart; those still open end at `until`."""
        bars: list[Bar] = []
        running: dict[str, tuple[int, float, int]] = {}
        for time, pcpu, vcpu, credit, _, event in self._rows():
            if event == "run":
                running[vcpu] = (pcpu, time, credit)
            elif event in _OFF and vcpu in running:
                cpu, start, before = running.pop(vcpu)
                bars.append(Bar(cpu, vcpu, start, time, before, credit))
        bars += [
            Bar(cpu, vcpu, start, until, before, before) for vcpu, (cpu, start, before) in running.items()
        ]
        return bars

    def credits(self) -> dict[str, list[tuple[float, int]]]:
        """For each vCPU a line to draw: times (ns) and the credit that it had then.

        It is straight from point to point; where two points are at one time, the credit jumped.
        """
        lines: dict[str, list[tuple[float, int]]] = {}
        running: set[str] = set()
        for time, _, name, number, _, event in self._rows():
            if not name:
                for vcpu, before, after, _ in zip(*self._snapshots[number], strict=True):
                    lines.setdefault(vcpu.name, []).extend(((time, before), (time, after)))
            elif event == "run":
                running.add(name)
                lines.setdefault(name, []).append((time, number))
            elif (
                event in _OFF and name in running
            ):  # one that waits neither pays nor earns by what befalls it
                running.remove(name)
                lines.setdefault(name, []).append((time, number))
        return lines

    def table(self, priorities: dict[int, str]) -> pd.DataFrame:
        """The trace as a `pandas.DataFrame`: time (s), pcpu, vcpu, credit, priority (its name), event."""
        import pandas as pd

        frame = pd.DataFrame(list(self), columns=list(Row._fields))
        frame["time"] = frame["time"] / 1e9
        frame["priority"] = frame["priority"].map(priorities).fillna("")
        for column in ("vcpu", "priority", "event"):
            frame[column] = frame[column].astype("category")
        return frame
