"""Moving a guest between two hosts, cold, warm and live, and measuring for how long it did not answer.

The guest must run the workload ``clock``: it prints the time ten times a second. What it printed last at the
source and first at the target tells how long it stood still, by the guest's own clock, which both hosts keep.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xenlab.commands import Commands, XenlabError
from xenlab.domains import table
from xenlab.domains.console import read_logs
from xenlab.migration.timeline import Service, Step, Timeline

#: A line of the workload `clock`: how many it has printed, and seconds since 1970.
TICK = re.compile(rb"^clock (\d+) (\d+\.\d+)\r?$", re.MULTILINE)
FOLDER = "/var/lib/xenlab"


class NotMoved(XenlabError):
    """A migration that failed; `.said` holds what both ends said, `.running` the hosts where the guest runs now."""

    def __init__(self, said: str, running: Sequence[str]) -> None:
        self.said, self.running = said, tuple(running)
        where = " and ".join(running) or "on neither host"
        super().__init__(f"{said.rstrip()}\n(the guest runs: {where})")


@dataclass(frozen=True)
class Moved:
    """A migration that has ended well.

    `kind` is cold, warm or live; `seconds` from the first command until the guest answered at the target;
    `downtime` for how long it did not answer; `counted` the last number the guest printed at the source and
    the first at the target; `timeline` its steps; `said` what `xl` told meanwhile.
    """

    kind: str
    seconds: float
    downtime: float
    counted: tuple[int, int]
    timeline: Timeline
    said: str

    @property
    def lost(self) -> bool:
        """Did the guest lose what it was doing? Then it began to count anew."""
        return self.counted[1] <= self.counted[0]

    def __str__(self) -> str:
        again = "it began anew" if self.lost else "it went on counting"
        return f"{self.kind}: {self.seconds:.1f} s in all, {self.downtime:.1f} s down, {again}"


class Migration:
    """Moves guests between two hosts.

    Args:
        hosts: The two hosts by the names under which they know each other.
        shell: What `xl migrate -s` shall use to reach the other host.
        copy: The program that puts a file where the other host finds it: ``copy FILE HOST``.

    """

    def __init__(self, hosts: Mapping[str, Commands], shell: str = "wire", copy: str = "wire-copy") -> None:
        if len(hosts) != 2:
            raise XenlabError(f"hosts(={', '.join(hosts)}) must be two")
        self._hosts, self._shell, self._copy = dict(hosts), shell, copy

    def where(self, name: str) -> tuple[str, ...]:
        """The hosts on which a guest of this name runs: neither paused, nor shut down, nor still on its way.

        On a host that answers no more there is none.
        """
        found = []
        for host, commands in self._hosts.items():
            try:
                rows = table.read(commands.xl("list"))
            except XenlabError:
                continue
            found += [host for row in rows if row.name == name and not set("psd") & set(row.letters)]
        return tuple(found)

    def cold(self, name: str, disks: Sequence[str] = ()) -> Moved:
        """Shut the guest down, copy its configuration and these disk files, and boot it at the other host.

        A configuration that only the other host has, since the guest was made there, need not be copied.
        """
        source, target = self._ends(name)
        config = f"{FOLDER}/{name}.cfg"
        steps = _Stopwatch(self._hosts[source], self._hosts[target])
        steps.at_source("shut down", "xl", "shutdown", "-w", name)
        if _has(self._hosts[source], config):
            disks = (*disks, config)
        for path in disks:
            steps.at_source("copy", self._copy, path, target)
        steps.at_target("boot", "xl", "create", config)
        return self._measure("cold", name, source, target, steps)

    def warm(self, name: str) -> Moved:
        """Save the guest to a file, copy the file, and restore it at the other host."""
        source, target = self._ends(name)
        image = f"{FOLDER}/{name}.save"
        steps = _Stopwatch(self._hosts[source], self._hosts[target])
        steps.at_source("save", "xl", "save", name, image)
        steps.at_source("copy", self._copy, image, target)
        steps.at_target("restore", "xl", "restore", image)
        return self._measure("warm", name, source, target, steps)

    def live(self, name: str) -> Moved:
        """Move the guest while it runs; raise `NotMoved` if that fails."""
        source, target = self._ends(name)
        steps = _Stopwatch(self._hosts[source], self._hosts[target])
        done = steps.at_source("move", "xl", "migrate", "-s", self._shell, name, target, check=False)
        if done:
            raise NotMoved(steps.said, self.where(name))
        return self._measure("live", name, source, target, steps)

    def _ends(self, name: str) -> tuple[str, str]:
        running = self.where(name)
        if len(running) != 1:
            where = " and ".join(running) or "none"
            raise XenlabError(f"guest {name!r} must run on exactly one host; it runs on: {where}")
        (target,) = self._hosts.keys() - set(running)
        return running[0], target

    def _measure(self, kind: str, name: str, source: str, target: str, steps: _Stopwatch) -> Moved:
        before = _ticks(self._hosts[source], name)
        last = before[-1] if before else None
        if last is None:
            raise XenlabError(f"guest {name!r} must run the workload 'clock': it has not printed the time")
        first = self._first_tick_after(self._hosts[target], name, last[1])
        downtime = first[1] - last[1]
        return Moved(
            kind, steps.elapsed(), downtime, (last[0], first[0]), steps.timeline(kind, downtime), steps.said
        )

    def _first_tick_after(self, host: Commands, name: str, time: float) -> tuple[int, float]:
        deadline = host.now() + 120
        while host.now() < deadline:
            for tick in _ticks(host, name):
                if tick[1] > time:
                    return tick
            host.wait(0.3)
        raise XenlabError(f"guest {name!r} has not printed the time at its new host within 120 s")


def _ticks(host: Commands, name: str) -> list[tuple[int, float]]:
    """What a guest has printed on this host: its numbers and times, in the order of time."""
    printed = (tick for log in read_logs(host, name) for tick in TICK.findall(log or b""))
    return sorted(((int(number), float(time)) for number, time in printed), key=lambda tick: tick[1])


def _has(host: Commands, path: str) -> bool:
    try:
        host.get(path)
    except FileNotFoundError:
        return False
    return True


class _Stopwatch:
    """Runs commands one after another and notes how long each took."""

    def __init__(self, source: Commands, target: Commands) -> None:
        self._source, self._target = source, target
        self._start = source.now()
        self._steps: list[tuple[str, str, float, float]] = []
        self.said = ""

    def at_source(self, what: str, *argv: str, check: bool = True) -> int:
        """Run a command at the source; return its exit status."""
        return self._run(self._source, what, argv, check)

    def at_target(self, what: str, *argv: str) -> int:
        """Run a command at the target."""
        return self._run(self._target, what, argv, True)

    def _run(self, host: Commands, what: str, argv: Sequence[str], check: bool) -> int:
        start = host.now()
        done = host.run(argv, check=check)
        self._steps.append((what, done.command_line, start - self._start, host.now() - start))
        self.said += done.stdout + done.stderr
        return done.status

    def elapsed(self) -> float:
        """Seconds since the first command began."""
        return self._source.now() - self._start

    def timeline(self, kind: str, downtime: float) -> Timeline:
        """The steps as a `Timeline`; that of a live migration ends with its downtime."""
        if kind == "live":
            ((_, command, _, seconds),) = self._steps
            live = max(0.0, seconds - downtime)
            return Timeline(
                kind,
                (
                    Step("copy while it runs", command, 0.0, live, Service.SLOW),
                    Step("stop and copy", "", live, downtime, Service.DOWN),
                ),
            )
        steps = [
            Step(what, command, start, seconds, Service.DOWN) for what, command, start, seconds in self._steps
        ]
        end = steps[-1].start + steps[-1].seconds
        answers = max(0.0, downtime - end)
        return Timeline(kind, (*steps, Step("until it answers", "", end, answers, Service.DOWN)))
