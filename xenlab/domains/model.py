"""The life of a domain: what state it is in, what moves it on, and how `xl list` spells it.

A domain is a virtual machine under Xen. Between the command that builds it and the moment Xen frees its
memory it is *alive*, *shut down* or *dying*. While it is alive its virtual CPUs run, wait for a processor, or
block; on top of that the toolstack may have paused it, and pauses are counted. Six letters in the `State`
column of `xl list` say all this. `Life` is one such life as a value; `Life().after("create")` the next.

Sources: xen/common/domctl.c (getdomaininfo), xen/common/domain.c (domain_shutdown, domain_kill,
domain_pause_by_systemcontroller), tools/xl/xl_info.c (list_domains), tools/xl/xl_vmcontrol.c; Xen 4.17.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum

from xenlab.commands import XenlabError


class State(StrEnum):
    """The one word that says where a domain is; a paused domain is `paused` whatever its vCPUs were doing."""

    ABSENT = "absent"
    RUNNABLE = "runnable"
    RUNNING = "running"
    BLOCKED = "blocked"
    PAUSED = "paused"
    SHUTDOWN = "shutdown"
    CRASHED = "crashed"
    DYING = "dying"
    SAVED = "saved"


MEANING: Mapping[State, str] = {
    State.ABSENT: "Xen knows no such domain.",
    State.RUNNABLE: "It has work to do and waits for a processor.",
    State.RUNNING: "At least one of its virtual CPUs is on a processor now.",
    State.BLOCKED: "All its virtual CPUs sleep until an event arrives.",
    State.PAUSED: "The toolstack holds it; no virtual CPU may run.",
    State.SHUTDOWN: "The guest has ended; Xen still holds its memory.",
    State.CRASHED: "The guest has failed; Xen still holds its memory.",
    State.DYING: "Xen is taking back its memory.",
    State.SAVED: "No domain, but a file in dom0 holds its memory and registers.",
}


class Reason(IntEnum):
    """Why a domain shut down: the code its kernel gives Xen (SHUTDOWN_* in xen/include/public/sched.h)."""

    POWEROFF = 0
    REBOOT = 1
    SUSPEND = 2
    CRASH = 3
    WATCHDOG = 4
    SOFT_RESET = 5


#: The fifth letter of the State column, by shutdown reason (tools/xl/xl_info.c).
REASON_LETTERS = "-rscwS"


def state_of(letters: str) -> State:
    """Return the state that the six letters of `xl list` stand for.

    Dying outranks shut down, shut down outranks paused, and paused outranks what the vCPUs do: the order in
    which it matters to whoever looks at the table. Raises `XenlabError` if these are not six such letters.

    >>> state_of("-b----").value, state_of("-bp---").value, state_of("---sc-").value, state_of("------").value
    ('blocked', 'paused', 'crashed', 'runnable')
    """
    allowed = ("r-", "b-", "p-", "s-", "-rscwS?", "d-")
    if len(letters) != 6 or any(letter not in these for letter, these in zip(letters, allowed, strict=True)):
        raise XenlabError(f"letters(={letters!r}) must be the six of xl list, such as '-b----'")
    running, blocked, paused, shutdown, reason, dying = tuple(letters)
    if dying == "d":
        return State.DYING
    if shutdown == "s":
        return State.CRASHED if reason in "cw" else State.SHUTDOWN
    if paused == "p":
        return State.PAUSED
    if running == "r":
        return State.RUNNING
    return State.BLOCKED if blocked == "b" else State.RUNNABLE


class Phase(StrEnum):
    """What Xen itself knows of a domain's existence."""

    ABSENT = "absent"
    ALIVE = "alive"
    SHUT_DOWN = "shut down"
    DYING = "dying"


@dataclass(frozen=True)
class Life:
    """Where one guest is in its life, with all that decides what may happen next.

    `activity` is what its vCPUs do (running, runnable or blocked) and counts only while it is alive; `pauses`
    is Xen's controller_pause_count; `asked` is the request that lies in control/shutdown and that the guest
    has not yet obeyed; `reason` is why it shut down; `image` says whether a saved image lies in dom0; `keep`
    that the save under way leaves the domain running; `id` is its number, `last_id` the highest given so far.

    >>> life = Life().after("create", "run", "pause")
    >>> life.state.value, life.letters, life.id
    ('paused', '--p---', 1)
    >>> life.after("destroy", "pause")
    Traceback (most recent call last):
    ...
    xenlab.commands.XenlabError: event(='pause') cannot happen while the domain is dying; possible: free
    """

    phase: Phase = Phase.ABSENT
    activity: State = State.RUNNABLE
    pauses: int = 0
    asked: Reason | None = None
    reason: Reason | None = None
    image: bool = False
    keep: bool = False
    id: int | None = None
    last_id: int = 0

    @property
    def state(self) -> State:
        """The one word for it; `saved` when there is no domain but an image to restore one from."""
        if self.phase is Phase.ABSENT:
            return State.SAVED if self.image else State.ABSENT
        return state_of(self.letters)

    @property
    def letters(self) -> str:
        """The State column of `xl list`; empty while Xen knows no such domain."""
        if self.phase is Phase.ABSENT:
            return ""
        alive, over = self.phase is Phase.ALIVE, self.reason is not None
        return "".join(
            (
                "r" if alive and self.activity is State.RUNNING else "-",
                "b" if alive and self.activity is State.BLOCKED else "-",
                "p" if self.pauses else "-",
                "s" if over else "-",
                REASON_LETTERS[self.reason] if self.reason is not None else "-",
                "d" if self.phase is Phase.DYING else "-",
            )
        )

    @property
    def may_run(self) -> bool:
        """True while the guest's own code can make progress: alive and not paused."""
        return self.phase is Phase.ALIVE and not self.pauses

    def possible(self) -> tuple[str, ...]:
        """Names of the events that can happen now, in the order of `EVENTS`."""
        return tuple(name for name, event in EVENTS.items() if event.when(self))

    def after(self, *events: str) -> Life:
        """Return the life after these events, each a name in `EVENTS`.

        Raises `XenlabError`, saying what can happen instead, at the first that cannot.
        """
        life = self
        for name in events:
            if name not in EVENTS:
                raise XenlabError(f"event(={name!r}) must be one of: {', '.join(EVENTS)}")
            if not EVENTS[name].when(life):
                possible = ", ".join(life.possible())
                raise XenlabError(
                    f"event(={name!r}) cannot happen while the domain is {life.state}; possible: {possible}"
                )
            life = EVENTS[name].then(life)
        return life

    def settled(self, busy: bool = False) -> Life:
        """Return the life once all that is under way has happened: requests obeyed, remains cleaned up.

        A domain that may run then ends blocked, or running if it is `busy` and has a processor of its own.

        >>> Life().after("create", "shutdown").settled().state.value
        'absent'
        >>> Life().after("create", "pause", "shutdown").settled().state.value
        'paused'
        """
        life = self
        while due := next((name for name in UNDER_WAY if EVENTS[name].when(life)), None):
            life = EVENTS[due].then(life)
        return replace(life, activity=State.RUNNING if busy else State.BLOCKED) if life.may_run else life


class Actor(StrEnum):
    """Who makes an event happen."""

    XL = "xl"  # a person, by a command in dom0
    GUEST = "guest"  # the kernel inside the domain
    SCHEDULER = "scheduler"  # Xen's CPU scheduler
    DAEMON = "the watching xl"  # the xl process that `xl create` leaves behind to watch its domain
    XEN = "Xen"  # the hypervisor, by itself


@dataclass(frozen=True)
class Event:
    """Something that moves a domain on: who does it, what happens underneath, when it can, what follows."""

    actor: Actor
    note: str
    when: Callable[[Life], bool]
    then: Callable[[Life], Life]


def _new(life: Life) -> Life:
    """Return a fresh domain with the next number: domain_create gives ids in rising order."""
    number = life.last_id + 1
    return Life(Phase.ALIVE, image=life.image, id=number, last_id=number)


def _gone(life: Life) -> Life:
    return Life(image=life.image, last_id=life.last_id)


def _end(life: Life, reason: Reason) -> Life:
    return replace(life, phase=Phase.SHUT_DOWN, reason=reason, asked=None)


def _ask(reason: Reason, keep: bool = False) -> Callable[[Life], Life]:
    return lambda life: replace(life, asked=reason, keep=keep)


def _pause(life: Life) -> Life:
    # Xen waits until no vCPU is on a processor any more (vcpu_sleep_sync): a paused domain never shows an r.
    activity = State.RUNNABLE if life.activity is State.RUNNING else life.activity
    return replace(life, activity=activity, pauses=life.pauses + 1)


def _write(life: Life) -> Life:
    written = replace(life, image=True)
    return replace(written, phase=Phase.ALIVE, reason=None, keep=False) if life.keep else _destroy(written)


def _destroy(life: Life) -> Life:
    # libxl pauses a domain before it takes it apart: hence the p of a domain that lingers as --p--d.
    return replace(life, phase=Phase.DYING, pauses=life.pauses + 1, asked=None)


def _absent(life: Life) -> bool:
    return life.phase is Phase.ABSENT


def _alive(life: Life) -> bool:
    return life.phase is Phase.ALIVE


def _free_to_ask(life: Life) -> bool:
    return _alive(life) and life.asked is not Reason.SUSPEND


def _not_asked(life: Life) -> bool:
    return _alive(life) and life.asked is None


def _over(*reasons: Reason) -> Callable[[Life], bool]:
    return lambda life: life.phase is Phase.SHUT_DOWN and life.reason in reasons


def _doing(*activities: State) -> Callable[[Life], bool]:
    return lambda life: life.may_run and life.activity in activities


def _becomes(activity: State) -> Callable[[Life], Life]:
    return lambda life: replace(life, activity=activity)


#: Every event in a domain's life by name.
EVENTS: Mapping[str, Event] = {
    "create": Event(
        Actor.XL, "Xen makes the domain paused; xl loads its kernel and unpauses it last.", _absent, _new
    ),
    "create -p": Event(
        Actor.XL,
        "As create, but xl leaves the first pause in place.",
        _absent,
        lambda life: replace(_new(life), pauses=1),
    ),
    "pause": Event(
        Actor.XL,
        "Xen raises the pause count; no vCPU is given a processor.",
        _alive,
        _pause,
    ),
    "unpause": Event(
        Actor.XL,
        "Xen lowers the pause count; at 0 the vCPUs may run again.",
        lambda life: _alive(life) and life.pauses > 0,
        lambda life: replace(life, pauses=life.pauses - 1),
    ),
    "shutdown": Event(
        Actor.XL,
        'xl writes "poweroff" to control/shutdown in xenstore: a request.',
        _free_to_ask,
        _ask(Reason.POWEROFF),
    ),
    "reboot": Event(
        Actor.XL,
        'xl writes "reboot" to control/shutdown in xenstore: a request.',
        _free_to_ask,
        _ask(Reason.REBOOT),
    ),
    "save": Event(
        Actor.XL,
        "xl asks the guest to suspend, to write its memory to a file.",
        _not_asked,
        _ask(Reason.SUSPEND),
    ),
    "save -c": Event(
        Actor.XL, "As save, but the domain goes on afterwards.", _not_asked, _ask(Reason.SUSPEND, keep=True)
    ),
    "restore": Event(
        Actor.XL,
        "xl builds a new domain from the file; it goes on where the old one stopped.",
        lambda life: _absent(life) and life.image,
        _new,
    ),
    "destroy": Event(
        Actor.XL,
        "Xen stops it at once and takes its memory back; the guest is not asked.",
        lambda life: life.phase in (Phase.ALIVE, Phase.SHUT_DOWN),
        _destroy,
    ),
    "run": Event(
        Actor.SCHEDULER,
        "A processor is free: the vCPU runs.",
        _doing(State.RUNNABLE),
        _becomes(State.RUNNING),
    ),
    "preempt": Event(
        Actor.SCHEDULER, "Its turn is over: the vCPU waits.", _doing(State.RUNNING), _becomes(State.RUNNABLE)
    ),
    "block": Event(
        Actor.GUEST,
        "Nothing to do: the guest's idle loop tells Xen so.",
        _doing(State.RUNNING),
        _becomes(State.BLOCKED),
    ),
    "wake": Event(
        Actor.XEN,
        "An event arrives: a timer, a packet, a disk block.",
        _doing(State.BLOCKED),
        _becomes(State.RUNNABLE),
    ),
    "obey": Event(
        Actor.GUEST,
        "The guest reads the request, ends its programs and tells Xen.",
        lambda life: life.may_run and life.asked is not None,
        lambda life: _end(life, life.asked or Reason.POWEROFF),
    ),
    "withdraw": Event(
        Actor.XL,
        # libxl_dom_suspend.c takes back only its own request; a poweroff or reboot stays in control/shutdown.
        "The guest has not suspended itself within 60 s: xl takes the request back and fails.",
        lambda life: life.phase is Phase.ALIVE and life.pauses > 0 and life.asked is Reason.SUSPEND,
        lambda life: replace(life, asked=None, keep=False),
    ),
    "power off": Event(
        Actor.GUEST,
        "Somebody inside the guest switched it off.",
        lambda life: life.may_run,
        lambda life: _end(life, Reason.POWEROFF),
    ),
    "crash": Event(
        Actor.GUEST,
        "The guest's kernel panicked.",
        lambda life: life.may_run,
        lambda life: _end(life, Reason.CRASH),
    ),
    "clean up": Event(
        Actor.DAEMON,
        "The xl that watches the domain does what on_poweroff or on_crash says: by default destroy.",
        _over(Reason.POWEROFF, Reason.CRASH),
        _destroy,
    ),
    "restart": Event(
        Actor.DAEMON,
        "The xl that watches the domain does what on_reboot says: by default build it anew.",
        _over(Reason.REBOOT),
        _new,
    ),
    "write": Event(
        Actor.XL,
        "xl has written the memory: it destroys the domain, or wakes it (-c).",
        _over(Reason.SUSPEND),
        _write,
    ),
    "free": Event(
        Actor.XEN, "All its memory is back: Xen forgets it.", lambda life: life.phase is Phase.DYING, _gone
    ),
}


#: Events that follow by themselves from what was asked before.
UNDER_WAY = ("obey", "withdraw", "clean up", "restart", "write", "free")

#: Commands a person gives, spelt without the `xl`.
COMMANDS = (
    "create",
    "create -p",
    "pause",
    "unpause",
    "shutdown",
    "reboot",
    "save",
    "save -c",
    "restore",
    "destroy",
)


def event_of(argv: Sequence[str]) -> tuple[str, str] | None:
    """Return which event a command line asks for and of which domain, or None if it moves no domain.

    >>> event_of(["xl", "pause", "web"]), event_of(["xl", "save", "-c", "web", "web.save"])
    (('pause', 'web'), ('save -c', 'web'))
    >>> event_of(["xl", "list", "web"])
    """
    if len(argv) < 3 or argv[0] != "xl" or argv[1] not in COMMANDS:
        return None
    command, options = argv[1], {word for word in argv[2:] if word.startswith("-")}
    words = [word for word in argv[2:] if not word.startswith("-")]
    event = next(
        (f"{command} {option}" for option in sorted(options) if f"{command} {option}" in COMMANDS), command
    )
    return (event, words[0]) if words else None
