"""Cold, warm and live migration side by side: what happens when, and whether the guest's service answers.

*Cold*: shut the guest down, copy its disk and its configuration, boot it again. *Warm*: save it to a file,
  copy the file, restore it; the guest never notices, its users do. *Live*: copy its memory while it runs. All
  three are written as a `Timeline`, a sequence of steps with durations, so that they can be drawn one under
  the other.

The durations are arithmetic on the sizes and speeds in `Site`; those of a live migration come from the
pre-copy model.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from xenlab.migration.pages import MigrationError
from xenlab.migration.rounds import Migration

if TYPE_CHECKING:
    import pandas as pd


class Service(StrEnum):
    """What the guest's users notice."""

    UP = "up"
    SLOW = "slow"
    DOWN = "down"


@dataclass(frozen=True)
class Site:
    """Two hosts, the link between them, and a guest on the first. Sizes in MiB, speeds in MiB/s, times in seconds.

    `shared_disk` says that both hosts reach the guest's disk (iSCSI, NFS, a SAN), so that it need not be
    copied. `dump` is the speed at which a host writes or reads a saved guest on its own disk.
    """

    memory: float = 1024.0
    disk: float = 8192.0
    shared_disk: bool = True
    link: float = 112.0
    dump: float = 150.0
    shutdown: float = 8.0
    boot: float = 20.0
    name: str = "web"
    target: str = "hostb"

    def __post_init__(self) -> None:
        for name in ("memory", "disk", "link", "dump", "shutdown", "boot"):
            if getattr(self, name) <= 0:
                raise MigrationError(f"{name}(={getattr(self, name)}) must be positive")


@dataclass(frozen=True)
class Step:
    """One step: what is done, by which command (empty if by the one before), when, and the service meanwhile."""

    what: str
    command: str
    start: float
    seconds: float
    service: Service


@dataclass(frozen=True)
class Timeline:
    """A migration of one kind, step by step, in simulated seconds."""

    kind: str
    steps: tuple[Step, ...]

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return sum(step.seconds for step in self.steps)

    @property
    def downtime(self) -> float:
        """For how long the service does not answer."""
        return sum(step.seconds for step in self.steps if step.service is Service.DOWN)

    def service_at(self, time: float) -> Service:
        """Return what users notice at `time` seconds after the beginning; `UP` before it and after the end."""
        for step in self.steps:
            if step.start <= time < step.start + step.seconds:
                return step.service
        return Service.UP

    def frame(self) -> pd.DataFrame:
        """Return a table with a row a step."""
        import pandas as pd

        return pd.DataFrame([asdict(step) for step in self.steps])


def _timeline(kind: str, *steps: tuple[str, str, float, Service]) -> Timeline:
    """Put steps one after the other, without those that take no time."""
    placed: list[Step] = []
    now = 0.0
    for what, command, seconds, service in steps:
        if seconds > 0:
            placed.append(Step(what, command, now, seconds, service))
            now += seconds
    return Timeline(kind, tuple(placed))


def _disk_copy(site: Site) -> tuple[str, str, float, Service]:
    seconds = 0.0 if site.shared_disk else site.disk / site.link
    command = f"dd if=/dev/vg0/{site.name} bs=1M | ssh {site.target} dd of=/dev/vg0/{site.name} bs=1M"
    return ("copy the disk", command, seconds, Service.DOWN)


def cold(site: Site) -> Timeline:
    """Return the timeline of a cold migration: down from the shutdown until the guest has booted at the target.

    >>> move = cold(Site(memory=1024, shutdown=8, boot=20))
    >>> [step.what for step in move.steps], move.downtime
    (['shut the guest down', 'boot at the target'], 28)
    """
    return _timeline(
        "cold",
        ("shut the guest down", f"xl shutdown -w {site.name}", site.shutdown, Service.DOWN),
        _disk_copy(site),
        ("boot at the target", f"xl create {site.name}.cfg", site.boot, Service.DOWN),
    )


def warm(site: Site) -> Timeline:
    """Return the timeline of a warm migration: down while memory goes to a file, over the link, and back.

    >>> warm(Site(memory=1024, link=128, dump=256)).downtime
    16.0
    """
    file = f"{site.name}.save"
    return _timeline(
        "warm",
        ("save memory to a file", f"xl save {site.name} {file}", site.memory / site.dump, Service.DOWN),
        ("copy the file", f"scp {file} {site.target}:", site.memory / site.link, Service.DOWN),
        _disk_copy(site),
        ("restore at the target", f"xl restore {file}", site.memory / site.dump, Service.DOWN),
    )


def live(site: Site, migration: Migration) -> Timeline:
    """Return the timeline of a live migration, its rounds taken from a simulated `Migration`.

    While rounds are sent the service is slow rather than up: copying takes processor and network. Raises
    `MigrationError` if the hosts do not share the disk, which `xl migrate` does not copy.

    >>> from xenlab.migration import nsdi05
    >>> move = live(Site(), nsdi05.reproduce(nsdi05.QUAKE))
    >>> move.steps[0].command, f"{move.downtime:.2f} s"
    ('xl migrate web hostb', '0.06 s')
    """
    if not site.shared_disk:
        raise MigrationError(
            "shared_disk(=False) must be True: xl migrate moves memory, not disks; use cold or warm"
        )
    rounds = [(f"round {each.number}", "", each.seconds, Service.SLOW) for each in migration.rounds[:-1]]
    last = migration.rounds[-1].seconds + migration.path.state
    steps = [
        *rounds,
        ("stop and copy", "", last, Service.DOWN),
        ("activate at the target", "", migration.path.resume, Service.DOWN),
    ]
    steps[0] = (steps[0][0], f"xl migrate {site.name} {site.target}", *steps[0][2:])
    return _timeline("live", *steps)
