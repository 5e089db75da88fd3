"""Who holds the guest at each stage of a live migration, and what is left when something breaks.

The paper divides a migration into six stages and states the rule that makes it safe: until the target has
acknowledged that it holds all of the guest, the source's copy stays the guest; afterwards the target's is
(NSDI'05 §3.3). `xl migrate` and `xl migrate-receive` keep that rule by a short conversation over ssh. Here
both ends are modelled as they are written (`tools/xl/xl_migrate.c`, Xen 4.17), and anything may be broken at
any step.

>>> print(*break_at(Step.PRECOPY, Failure.LINK_CUT).printed[-2:], sep="\\n")
migration sender: libxl_domain_suspend failed (rc=-3)
Migration failed, resuming at sender.

A `World` is the state of both hosts after a step; `walk` gives them in order, `break_at` the one that a
failure leaves, and `settle` what an administrator does about it. Only what xl itself prints is shown, not the
lines of libxl and ssh around it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, IntEnum, StrEnum

from xenlab.migration.pages import MigrationError


class Stage(IntEnum):
    """The stages of NSDI'05 §3.3, Fig. 1."""

    PRE_MIGRATION = 0
    RESERVATION = 1
    ITERATIVE_PRECOPY = 2
    STOP_AND_COPY = 3
    COMMITMENT = 4
    ACTIVATION = 5


class Step(IntEnum):
    """The steps of xl's conversation, in order."""

    CONNECT = 0
    RESERVE = 1
    PRECOPY = 2
    SUSPEND = 3
    COPY_REST = 4
    ACKNOWLEDGE = 5
    PERMIT = 6
    START = 7
    REPORT = 8

    @property
    def stage(self) -> Stage:
        """The stage it belongs to.

        >>> Step.COPY_REST.stage.name, [step.name for step in Step if step.stage is Stage.COMMITMENT]
        ('STOP_AND_COPY', ['ACKNOWLEDGE', 'PERMIT'])
        """
        return _STAGES[self]


_STAGES = (
    Stage.PRE_MIGRATION,
    Stage.RESERVATION,
    Stage.ITERATIVE_PRECOPY,
    Stage.STOP_AND_COPY,
    Stage.STOP_AND_COPY,
    Stage.COMMITMENT,
    Stage.COMMITMENT,
    Stage.ACTIVATION,
    Stage.ACTIVATION,
)


class Copy(Enum):
    """What a host holds of the guest. Only `RUNNING` and `SUSPENDED` are consistent: the guest can go on from them."""

    NONE = "nothing"
    PARTIAL = "some of its memory"
    SUSPENDED = "all of it, not running"
    RUNNING = "the running guest"
    OUTDATED = "all of it, but the guest has gone on elsewhere"

    @property
    def consistent(self) -> bool:
        """Can the guest go on from this copy?"""
        return self in (Copy.RUNNING, Copy.SUSPENDED)


class Failure(StrEnum):
    """What can break."""

    LINK_CUT = "the link is cut"
    TARGET_DIES = "the target host dies"
    TARGET_OUT_OF_MEMORY = "the target has no memory left"
    GUEST_STAYS = "the guest does not suspend within 60 s"
    TARGET_CANNOT_START = "the target cannot start the guest"


#: Failures that can happen only at certain steps; a cut link can at any. A target that dies with the guest already
#: running there is a host that crashed, and no affair of migration any more.
ONLY_AT = {
    Failure.TARGET_DIES: tuple(Step)[: Step.REPORT],
    Failure.TARGET_OUT_OF_MEMORY: (Step.RESERVE, Step.PRECOPY, Step.COPY_REST),
    Failure.GUEST_STAYS: (Step.SUSPEND,),
    Failure.TARGET_CANNOT_START: (Step.START,),
}


@dataclass(frozen=True)
class World:
    """Both hosts at one moment: what each holds and under which name, and what the user has seen.

    `done` is the last step completed (None before the first); `config_bytes` is the length of the
    configuration that goes ahead of the memory. `printed` are the lines on the terminal where `xl migrate`
    runs, which include those of the target while the link holds; `unseen` those it printed after that.
    `status` is xl's exit status, None while it runs.
    """

    name: str
    config_bytes: int
    source: Copy = Copy.RUNNING
    target: Copy = Copy.NONE
    source_name: str = ""
    target_name: str = ""
    done: Step | None = None
    printed: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    status: int | None = None

    @property
    def consistent(self) -> tuple[str, ...]:
        """The hosts (`source`, `target`) with a copy that the guest can go on from."""
        held = {"source": self.source, "target": self.target}
        return tuple(host for host, copy in held.items() if copy.consistent)

    @property
    def running(self) -> tuple[str, ...]:
        """The hosts on which the guest runs; never two."""
        held = {"source": self.source, "target": self.target}
        return tuple(host for host, copy in held.items() if copy is Copy.RUNNING)

    @property
    def undefined(self) -> bool:
        """Did xl give up and leave it to the administrator to look at both ends?"""
        return any(line.startswith("** Migration failed during final handshake") for line in self.printed)

    def says(self, *lines: str) -> World:
        """Return this world with lines added to the terminal."""
        return replace(self, printed=self.printed + lines)

    @property
    def incoming(self) -> str:
        """The name under which the target builds the guest."""
        return f"{self.name}--incoming"

    @property
    def away(self) -> str:
        """The name the source gives the guest before it lets it go."""
        return f"{self.name}--migratedaway"

    @property
    def saving(self) -> str:
        """The line with which the sender begins: its flags, and how long the configuration is."""
        return f"Saving to migration stream new xl format (info 0x3/0x0/{self.config_bytes})"


def begin(name: str = "web", config_bytes: int = 1000) -> World:
    """Return the world before a migration: the guest runs at the source."""
    return World(name, config_bytes, source_name=name)


def advance(world: World) -> World:
    """Return the world after the next step, all going well. Raises `MigrationError` after the last."""
    step = Step(0) if world.done is None else Step(min(world.done + 1, Step.REPORT))
    if world.done is Step.REPORT or world.status is not None:
        raise MigrationError(f"migration of {world.name!r} must not have ended: begin() another")
    return replace(_happens(world, step), done=step)


def _happens(world: World, step: Step) -> World:
    match step:
        case Step.CONNECT:
            return world.says("migration target: Ready to receive domain.")
        case Step.RESERVE:
            return replace(world, target=Copy.PARTIAL, target_name=world.incoming).says(
                world.saving,
                "Loading new save file <incoming migration stream>"
                f" (new xl fmt info 0x3/0x0/{world.config_bytes})",
                " Savefile contains xl domain config in JSON format",
                "Parsing config from <saved>",
            )
        case Step.PRECOPY:
            return world
        case Step.SUSPEND:
            return replace(world, source=Copy.SUSPENDED)
        case Step.COPY_REST:
            return replace(world, target=Copy.SUSPENDED)
        case Step.ACKNOWLEDGE:
            return world.says(
                "migration target: Transfer complete, requesting permission to start domain.",
                "migration sender: Target has acknowledged transfer.",
            )
        case Step.PERMIT:
            return replace(world, source_name=world.away).says(
                "migration sender: Giving target permission to start."
            )
        case Step.START:
            return replace(world, source=Copy.OUTDATED, target=Copy.RUNNING, target_name=world.name).says(
                "migration target: Got permission, starting domain.",
                "migration target: Domain started successsfully.",
            )
        case Step.REPORT:
            return replace(world, source=Copy.NONE, source_name="", status=0).says(
                "migration sender: Target reports successful startup.", "Migration successful."
            )


def walk(start: World | None = None) -> tuple[World, ...]:
    """Return the worlds of a migration in which nothing breaks, from before it begins until it has ended.

    >>> worlds = walk(begin("web"))
    >>> worlds[-1].running, worlds[-1].printed[-1]
    (('target',), 'Migration successful.')
    """
    worlds = [start or begin()]
    while worlds[-1].status is None:
        worlds.append(advance(worlds[-1]))
    return tuple(worlds)


def break_at(step: Step, failure: Failure, start: World | None = None) -> World:
    """Return what is left when `failure` happens during `step`.

    A cut link loses the message with which the step would have ended. Raises `MigrationError` if this cannot
    happen then.

    >>> left = break_at(Step.START, Failure.TARGET_CANNOT_START)
    >>> left.running, left.status, left.printed[-1]
    (('source',), 1, 'Migration failed due to problems at target.')
    """
    if step not in ONLY_AT.get(failure, tuple(Step)):
        allowed = ", ".join(each.name for each in ONLY_AT[failure])
        raise MigrationError(f"step(={step.name}) must be one of {allowed} for {failure.name}")
    worlds = walk(start)
    world = worlds[step]
    match failure:
        case Failure.GUEST_STAYS:
            return _guest_stays(world)
        case Failure.TARGET_CANNOT_START:
            return _target_cannot_start(world)
        case Failure.TARGET_OUT_OF_MEMORY if step is Step.RESERVE:
            told = worlds[step + 1].says("failed to free memory for the domain")
            return _sender_is_alone(_target_gives_up(told), step)
        case Failure.TARGET_OUT_OF_MEMORY:
            return _sender_is_alone(_target_gives_up(world), step)
        case Failure.TARGET_DIES:
            return _sender_is_alone(replace(world, target=Copy.NONE, target_name=""), step)
        case Failure.LINK_CUT:
            return _sender_is_alone(_target_is_alone(world, step), step)


def _sender_is_alone(world: World, step: Step) -> World:
    """Let the sender find that the target is gone: until it has given permission it takes the guest back."""
    if step is Step.CONNECT:
        return replace(world, status=1)
    if step < Step.PERMIT:
        target = Copy.OUTDATED if world.target is Copy.SUSPENDED else world.target
        said = [] if world.saving in world.printed else [world.saving]
        said += [] if step is Step.ACKNOWLEDGE else ["migration sender: libxl_domain_suspend failed (rc=-3)"]
        back = replace(world, source=Copy.RUNNING, target=target, status=1)
        return back.says(*said, "Migration failed, resuming at sender.")
    permitting = ["migration sender: Giving target permission to start."] if step is Step.PERMIT else []
    return replace(world, source_name=world.away, status=1).says(
        *permitting,
        "** Migration failed during final handshake **",
        "Domain state is now undefined !",
        "Please CHECK AT BOTH ENDS for running instances, before renaming and",
        " resuming at most one instance.  Two simultaneous instances of the domain",
        " would probably result in SEVERE DATA LOSS and it is now your",
        " responsibility to avoid that.  Sorry.",
    )


def _target_is_alone(world: World, step: Step) -> World:
    """Let the receiver find that the sender answers no more: without permission it never starts its copy.

    Once it holds the whole guest it only exits, and leaves its copy paused. With the permission in hand it
    starts the guest, whether or not its report gets back. Nobody sees what it prints.
    """
    if step <= Step.RESERVE:
        return world
    if step < Step.ACKNOWLEDGE:
        alone = _target_gives_up(world)
        return replace(alone, printed=world.printed, unseen=alone.printed[len(world.printed) :])
    if step is Step.ACKNOWLEDGE:
        return replace(
            world, unseen=("migration target: Transfer complete, requesting permission to start domain.",)
        )
    if step is Step.START:
        started = _happens(world, step)
        return replace(started, printed=world.printed, unseen=started.printed[len(world.printed) :])
    return world


def _target_gives_up(world: World) -> World:
    """Let the receiver fail to build the guest; libxl destroys what there is of it."""
    gone = replace(world, target=Copy.NONE, target_name="")
    return gone.says("migration target: Domain creation failed (code -3).")


def _guest_stays(world: World) -> World:
    """Let the guest ignore the request to suspend: it has never stopped, so there is nothing to resume."""
    failed = (
        "migration sender: libxl_domain_suspend failed (rc=-8)",
        "migration target: Domain creation failed (code -3).",
    )
    left = replace(world, target=Copy.NONE, target_name="", status=1)
    return left.says(*failed, "Migration failed, failed to suspend at sender.")


def _target_cannot_start(world: World) -> World:
    """Let the receiver report that its copy would not start: it destroys it and hands the guest back."""
    left = replace(
        world, source=Copy.RUNNING, source_name=world.name, target=Copy.NONE, target_name="", status=1
    )
    return left.says(
        "migration target: Got permission, starting domain.",
        "migration target: Failure, destroying our copy.",
        "migration target: Cleanup OK, granting sender permission to resume.",
        "migration sender: Target reports startup failure (status code 3).",
        "migration sender: Trying to resume at our end.",
        "migration sender: Resumed OK.",
        "Migration failed due to problems at target.",
    )


def settle(world: World) -> tuple[tuple[str, ...], World]:
    """Return what an administrator does after a failure, and the world then: one copy, and no other.

    Each command begins with the host it is for. Copies that must never run are destroyed. If the guest runs
    nowhere and the target holds all of it, it is started there. If only the source does, it is booted again:
    xl 4.17 has no command that resumes a suspended domain (libxl has, and `xl migrate` itself uses it).

    >>> settle(break_at(Step.PERMIT, Failure.LINK_CUT))[0]
    ('target: xl rename web--incoming web', 'target: xl unpause web', 'source: xl destroy web--migratedaway')
    """
    done: list[str] = []
    if not world.running and world.target is Copy.SUSPENDED:
        done += [f"target: xl rename {world.target_name} {world.name}", f"target: xl unpause {world.name}"]
        world = replace(world, target=Copy.RUNNING, target_name=world.name, source=Copy.OUTDATED)
    if not world.running:
        done += [f"source: xl destroy {world.source_name}", f"source: xl create {world.name}.cfg"]
        world = replace(world, source=Copy.RUNNING, source_name=world.name)
    if world.source is Copy.OUTDATED:
        done.append(f"source: xl destroy {world.source_name}")
        world = replace(world, source=Copy.NONE, source_name="")
    if world.target is Copy.OUTDATED:
        done.append(f"target: xl destroy {world.target_name}")
        world = replace(world, target=Copy.NONE, target_name="")
    return tuple(done), world
