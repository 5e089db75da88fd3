"""Every order in which the two ends of a ring can touch it, tried out.

A frontend and a backend run on different CPUs, so between any two accesses of one the other may make any
number of its own. `explore` runs the very code of `ring.py` against a page that stops it before each
access, and tries all that can happen next: is a request ever lost or seen twice, does an end ever sleep for
good with work waiting? If so, it returns a shortest sequence of accesses that leads there. Hence a reader
can take out the final check and see which order of events it was for.

How code is stopped that does not know of it: an end does the same whenever it reads the same. So a turn is
run from its start with the values it has read so far, and ended by an exception at the first access beyond
them.

With ``store_buffers`` each CPU may delay its writes past its later reads, as x86 processors do (Sewell et
al., "x86-TSO", CACM 53(7), 2010); a barrier waits until they have left. Then the ring needs its barriers,
too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar, cast

from xenlab.devices.ring import RING_OFFSET, U32, BackRing, FrontRing, Layout, Protocol, RingEnd, RingError

_WORDS = ("req_prod", "req_event", "rsp_prod", "rsp_event")
_SLOT = 4  # bytes: an entry here is just a number
_ENDS = ("frontend", "backend")

Ring = TypeVar("Ring", bound=RingEnd[Any, Any])


class Hasty(RingEnd[Any, Any]):
    """An end that goes to sleep without looking once more: its final check is broken."""

    def final_check(self) -> bool:
        """Ask to be notified of the next entry, and believe that there is none."""
        if self.unconsumed:
            return True
        self.shared[self._event] = self.cons + 1 & U32
        return False


class HastyFront(Hasty, FrontRing[Any, Any]):
    """A frontend that does not look once more before it sleeps."""


class HastyBack(Hasty, BackRing[Any, Any]):
    """A backend that does not look once more before it sleeps."""


class Access(NamedTuple):
    """One step of one end, of a kind: read or write at an address of the page, notify, sleep, barrier.

    ``drain`` is its CPU's doing: the oldest delayed write reaches memory.
    """

    end: str
    kind: str
    address: int = 0
    value: int = 0

    def __str__(self) -> str:
        if self.kind not in ("read", "write", "drain"):
            return f"{self.end}: {self.kind}"
        number = _position(self.address)
        where = _WORDS[number] if number < len(_WORDS) else f"slot {number - len(_WORDS)}"
        return f"{self.end}: {self.kind} {where} = {self.value}"


@dataclass(frozen=True)
class Exploration:
    """What `explore` found: the number of situations, and what goes wrong in one of them, if anything does.

    `story` holds the accesses that lead there, in order.
    """

    situations: int
    violation: str = ""
    story: tuple[Access, ...] = ()

    @property
    def ok(self) -> bool:
        """True if nothing can go wrong."""
        return not self.violation


class _Violation(Exception):
    pass


class _Pause(Exception):
    """The code wants to make an access that has not been granted yet."""

    def __init__(self, access: Access) -> None:
        self.access = access


class _Page:
    """The shared page as one end sees it in one turn: it answers from `log`, then pauses the end."""

    def __init__(self, end: str, slots: int, log: Sequence[int]) -> None:
        self.end = end
        self.nbytes = RING_OFFSET + slots * _SLOT
        self._log = iter(log)

    def access(self, kind: str, address: int = 0, value: int = 0) -> int:
        for result in self._log:
            return result
        raise _Pause(Access(self.end, kind, address, value))

    # What a ring does with a memoryview: page[:16].cast("I") for the indices, page[a:b] for a run of slots.
    def __getitem__(self, piece: slice) -> _Page | tuple[_Page, range]:
        return (self, range(piece.start, piece.stop, _SLOT)) if piece.start else self

    def cast(self, _format: str) -> _Words:
        return _Words(self)


class _Words:
    """The four indices of a `_Page`."""

    def __init__(self, page: _Page) -> None:
        self._page = page

    def __getitem__(self, index: int) -> int:
        return self._page.access("read", 4 * index)

    def __setitem__(self, index: int, value: int) -> None:
        self._page.access("write", 4 * index, value)


class _Number(Layout[int]):
    """An entry that is just a number, read and written through a `_Page`."""

    def __init__(self) -> None:
        self.size = _SLOT

    def write(self, page: memoryview, offset: int, entry: int) -> None:
        cast(_Page, page).access("write", offset, entry)

    def reader(self, slot_size: int) -> Callable[[Any], Iterator[int]]:
        return lambda run: (run[0].access("read", offset) for offset in run[1])


_NUMBERS = Protocol("numbers", _Number(), _Number())


class _End(NamedTuple):
    """How far an end has come: private indices, entries put and taken; what it has read in this turn."""

    prod: int
    cons: int
    put: int = 0
    taken: int = 0
    log: tuple[int, ...] = ()


class _Situation(NamedTuple):
    """Everything that decides what can happen next; of each pair the frontend's is first."""

    memory: tuple[int, ...]  # the four indices, then the slots
    ends: tuple[_End, _End]
    bells: tuple[bool, bool] = (False, False)  # notified since it last slept?
    # Writes on their way to memory, oldest first: positions and values.
    delayed: tuple[tuple[tuple[int, int], ...], ...] = ((), ())


def explore(
    requests: int = 3,
    slots: int = 2,
    batch: int = 1,
    *,
    at: int = 0,
    front: type[FrontRing[Any, Any]] = FrontRing,
    back: type[BackRing[Any, Any]] = BackRing,
    store_buffers: bool = False,
    barriers: bool = True,
) -> Exploration:
    """Try every order of accesses in which a frontend can send `requests` and a backend can answer them.

    Arguments: `slots` of the ring, a power of two; `batch`, requests put per push; `at`, the index to start
    from (2**32 - 1 lets it wrap); `front`, `back`, the ends to try; `store_buffers`, whether writes may be
    delayed; `barriers`, whether the ends' barriers work.

    >>> explore(requests=2).ok
    True
    >>> missed = explore(requests=2, back=HastyBack)
    >>> missed.violation
    'both ends sleep for good: of 2 requests 2 were sent, 1 taken, 1 answered'
    >>> print(missed.story[-1])
    backend: write req_event = 2
    >>> [explore(requests=2, store_buffers=True, barriers=barriers).ok for barriers in (True, False)]
    [True, False]
    """
    return _Search(requests, slots, batch, at, front, back, store_buffers, barriers).run()


@dataclass
class _Search:
    """A breadth-first search of all situations: the first violation found has a shortest story."""

    requests: int
    slots: int
    batch: int
    at: int
    front: type[FrontRing[Any, Any]]
    back: type[BackRing[Any, Any]]
    store_buffers: bool
    barriers: bool
    _known: dict[tuple[int, _End], tuple[_End, Access | None]] = field(default_factory=dict)

    def run(self) -> Exploration:
        event = self.at + 1 & U32
        end = _End(self.at, self.at)
        start = self._settle(_Situation((self.at, event, self.at, event) + (-1,) * self.slots, (end, end)))
        came_from: dict[_Situation, tuple[_Situation, Access] | None] = {start: None}
        queue = deque([start])
        while queue:
            situation = queue.popleft()
            stuck = True
            for access, then in self._following(situation):
                stuck = False
                try:
                    settled = self._settle(then)
                except _Violation as violation:
                    return Exploration(
                        len(came_from), str(violation), (*_story(situation, came_from), access)
                    )
                if settled not in came_from:
                    came_from[settled] = situation, access
                    queue.append(settled)
            front, back = situation.ends
            if stuck and front.taken < self.requests:
                why = (
                    f"both ends sleep for good: of {self.requests} requests {front.put} were sent, "
                    f"{back.taken} taken, {front.taken} answered"
                )
                return Exploration(len(came_from), why, _story(situation, came_from))
        return Exploration(len(came_from))

    def _settle(self, situation: _Situation) -> _Situation:
        """Let both ends run up to their next access, so that equal situations look equal."""
        front, back = situation.ends
        return situation._replace(ends=(self._pending(0, front)[0], self._pending(1, back)[0]))

    def _following(self, situation: _Situation) -> Iterator[tuple[Access, _Situation]]:
        """Yield each access that can come next, and the situation after it."""
        for who in (0, 1):
            _, access = self._pending(who, situation.ends[who])
            delayed = situation.delayed[who]
            if delayed:
                (position, value), *rest = delayed
                memory = _put(situation.memory, position, value)
                drained = situation._replace(memory=memory, delayed=_put(situation.delayed, who, tuple(rest)))
                yield Access(_ENDS[who], "drain", _address(position), value), drained
            if access is not None:
                yield from self._make(who, access, situation)

    def _make(self, who: int, access: Access, situation: _Situation) -> Iterator[tuple[Access, _Situation]]:
        """Yield the situation after one access, if it can be made now."""
        memory, ends, bells, delayed = situation
        result = 0
        position = _position(access.address)
        if access.kind == "read":
            seen = dict(delayed[who])  # a CPU sees its own delayed writes, the latest of each place
            result = seen.get(position, memory[position])
            access = access._replace(value=result)
        elif access.kind == "write" and self.store_buffers:
            delayed = _put(delayed, who, (*delayed[who], (position, access.value)))
        elif access.kind == "write":
            memory = _put(memory, position, access.value)
        elif delayed[who]:
            return  # notify, sleep and barrier wait until all writes have reached memory
        elif access.kind == "notify":
            bells = _put(bells, 1 - who, True)
        elif access.kind == "sleep":
            if not bells[who]:
                return
            bells = _put(bells, who, False)
        ends = _put(ends, who, ends[who]._replace(log=(*ends[who].log, result)))
        yield access, _Situation(memory, ends, bells, delayed)

    def _pending(self, who: int, end: _End) -> tuple[_End, Access | None]:
        """Let an end run on with what it has read, up to its next access; None if it has finished."""
        key = who, end
        if key not in self._known:
            turn = (self._frontend_turn, self._backend_turn)[who]
            try:
                while who == 1 or end.taken < self.requests:
                    end = turn(_Page(_ENDS[who], self.slots, end.log), end)
                self._known[key] = end, None
            except _Pause as pause:
                self._known[key] = end, pause.access
            except RingError as error:
                raise _Violation(f"the {_ENDS[who]} finds the ring spoilt: {error}") from error
        return self._known[key]

    def _frontend_turn(self, page: _Page, end: _End) -> _End:
        ring = self._attach(self.front, page, end)
        group = range(end.put, min(end.put + self.batch, self.requests))[: ring.free]
        if group:
            ring.put(group)
            if ring.push():
                page.access("notify")
        taken = _in_order("frontend", ring.take(), end.taken) if not group else 0
        if not group and not taken and not ring.final_check():
            page.access("sleep")
        return _End(ring.prod_pvt, ring.cons, end.put + len(group), end.taken + taken)

    def _backend_turn(self, page: _Page, end: _End) -> _End:
        ring = self._attach(self.back, page, end)
        requests = ring.take()
        _in_order("backend", requests, end.taken)
        ring.put(requests)
        if requests:
            if ring.push():
                page.access("notify")
        elif not ring.final_check():
            page.access("sleep")
        return _End(ring.prod_pvt, ring.cons, end.put + len(requests), end.taken + len(requests))

    def _attach(self, kind: type[Ring], page: _Page, end: _End) -> Ring:
        """Return a ring end of this kind, as it was at the end of the last turn."""
        ring = kind(page, _NUMBERS)  # type: ignore[call-arg, arg-type]
        ring.prod_pvt, ring.cons = end.prod, end.cons
        if self.store_buffers and self.barriers:
            setattr(ring, "barrier", lambda: page.access("barrier"))  # noqa: B010
        return ring


def _in_order(end: str, entries: Sequence[int], expected: int) -> int:
    """Check that entries are those that come next; return their number."""
    for offset, entry in enumerate(entries):
        if entry != expected + offset:
            raise _Violation(f"the {end} sees entry {entry} where {expected + offset} was to come")
    return len(entries)


def _position(address: int) -> int:
    """Return where an address of the page is in `_Situation.memory`."""
    return address // 4 if address < RING_OFFSET else 4 + (address - RING_OFFSET) // _SLOT


def _address(position: int) -> int:
    return 4 * position if position < 4 else RING_OFFSET + (position - 4) * _SLOT


def _put(items: tuple[Any, ...], position: int, item: Any) -> Any:
    """Return the tuple with one item replaced."""
    return (*items[:position], item, *items[position + 1 :])


def _story(
    situation: _Situation, came_from: dict[_Situation, tuple[_Situation, Access] | None]
) -> tuple[Access, ...]:
    """Return the accesses that led to a situation, in order."""
    story = []
    while (step := came_from[situation]) is not None:
        situation, access = step
        story.append(access)
    return tuple(reversed(story))
