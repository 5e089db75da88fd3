"""A run in words: one caption for every few milliseconds, of who runs and what the scheduler has just done."""

from __future__ import annotations

from collections.abc import Iterable

from xenlab.scheduling.machine import Credit2Parameters, CreditParameters
from xenlab.scheduling.simulate import Run
from xenlab.scheduling.trace import Row
from xenlab.scheduling.workload import MS

_NOTES = {
    "park": "{} has used up its cap and is parked",
    "unpark": "{} may run again",
    "boost": "{} woke up and went ahead (BOOST)",
    "steal": "another pCPU took {} over",
}


def told(run: Run, step_ms: int) -> list[str]:
    """Return a caption for time 0 and for every `step_ms` until the run's end.

    >>> from xenlab.scheduling import Domain, System, simulate
    >>> told(simulate(System((Domain("web"), Domain("db")), 1), 0.04), 20)[1]
    '**20 ms.** pCPU 0 runs `web.0`, which has -200 credits.'
    """
    rows = iter(run.trace)
    pending = next(rows, None)
    captions = []
    for ms in range(0, round(run.seconds * 1000) + 1, step_ms):
        new = []
        while pending is not None and pending.time <= ms * MS:
            new.append(pending)
            pending = next(rows, None)
        captions.append(f"**{ms} ms.** {_running(run, ms * MS)}{_notes(run, new)}")
    return captions


def _running(run: Run, time: float) -> str:
    on = {
        bar.pcpu: bar
        for bar in run.bars
        if bar.start <= time < bar.end or bar.end == time == run.seconds * 1e9
    }
    parts = []
    for pcpu in run.system.pcpu_numbers:
        bar = on.get(pcpu)
        if bar is None:
            parts.append(f"pCPU {pcpu} is idle")
        else:
            parts.append(f"pCPU {pcpu} runs `{bar.vcpu}`{_credit(run, bar.vcpu, time)}")
    return "; ".join(parts) + "."


def _credit(run: Run, vcpu: str, time: float) -> str:
    """What is left to a vCPU at some time, on the line between the points that the trace has."""
    scheduler = run.system.scheduler
    if not isinstance(scheduler, CreditParameters | Credit2Parameters):
        return ""
    line = run.credits.get(vcpu, [])
    before = [point for point in line if point[0] <= time]
    after = [point for point in line if point[0] > time]
    if not before:
        return ""
    (start, credit) = before[-1]
    if after and after[0][0] > start:
        credit += (after[0][1] - credit) * (time - start) / (after[0][0] - start)  # type: ignore[assignment]
    if isinstance(scheduler, CreditParameters):
        return f", which has {credit:.0f} credits"
    return f", which has credit for {credit / MS:.1f} ms"


def _notes(run: Run, rows: Iterable[Row]) -> str:
    notes = []
    gifts = [row for row in rows if row.event == "account"]
    if gifts:
        left = ", ".join(f"`{row.vcpu}` now {row.credit}" for row in gifts)
        notes.append(f"credits were given out: {left}")
    if any(row.event == "reset" for row in rows):
        notes.append("everybody's credit was set anew")
    for event, text in _NOTES.items():
        names = dict.fromkeys(row.vcpu for row in rows if row.event == event)
        notes += [text.format(f"`{name}`") for name in names]
    return "" if not notes else " " + ". ".join(note[0].upper() + note[1:] for note in notes) + "."
