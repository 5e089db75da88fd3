"""What happened on a ring and around it, step by step, for whoever draws or asserts it.

The ends of a ring know nothing of this: it is their owner, a driver or a scenario, that says what it has just
done, and only if it was given a `Trace`. Moving requests costs the same with this module as without.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from xenlab.commands import XenlabError
from xenlab.devices import blkif
from xenlab.devices.ring import (
    REQ_EVENT,
    REQ_PROD,
    RING_OFFSET,
    RSP_EVENT,
    RSP_PROD,
    BackRing,
    FrontRing,
    RingEnd,
    initialise,
)

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Indices:
    """The eight indices of a ring at one moment: four on the page, two private to each end."""

    req_prod: int = 0
    req_event: int = 1
    rsp_prod: int = 0
    rsp_event: int = 1
    req_prod_pvt: int = 0
    rsp_cons: int = 0
    req_cons: int = 0
    rsp_prod_pvt: int = 0


@dataclass(frozen=True)
class Step:
    """One thing that happened: who did what, to which request, and where the indices stand after it.

    `notified` is for a push of something: True if it had to notify, False if that was saved. `slot` is where
    the request or response lies. `detail` says more in words: a grant reference, a state, a reason.
    """

    number: int
    actor: str
    action: str
    request: int | None
    slot: int | None
    notified: bool | None
    detail: str
    indices: Indices


class Trace:
    """A list of steps, and the two ends whose indices are noted with each.

    `steps` holds them in order. `front` and `back` are set by whoever connects the ring.

    >>> trace = play(["put", "put", "push", "take", "respond", "push responses", "take response"])
    >>> [(step.actor, step.action, step.notified) for step in trace.steps if step.notified is not None]
    [('frontend', 'push', True), ('backend', 'push responses', True)]
    >>> trace.steps[-1].indices.rsp_cons
    1
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.front: FrontRing[Any, Any] | None = None
        self.back: BackRing[Any, Any] | None = None

    def add(
        self,
        actor: str,
        action: str,
        *,
        request: int | None = None,
        index: int | None = None,
        notified: bool | None = None,
        detail: str = "",
    ) -> None:
        """Note a step; `index` is the free-running index of the entry it concerns."""
        end = self.front or self.back
        slot = end.slot(index) if end is not None and index is not None else None
        indices = self._indices()
        self.steps.append(Step(len(self.steps), actor, action, request, slot, notified, detail, indices))

    def _indices(self) -> Indices:
        end = self.front or self.back
        if end is None:
            return Indices()
        shared = end.shared
        return Indices(
            req_prod=shared[REQ_PROD],
            req_event=shared[REQ_EVENT],
            rsp_prod=shared[RSP_PROD],
            rsp_event=shared[RSP_EVENT],
            req_prod_pvt=self.front.prod_pvt if self.front else 0,
            rsp_cons=self.front.cons if self.front else 0,
            req_cons=self.back.cons if self.back else 0,
            rsp_prod_pvt=self.back.prod_pvt if self.back else 0,
        )

    def notifications(self) -> tuple[int, int]:
        """Return how many notifications were sent and how many saved."""
        pushes = [step.notified for step in self.steps if step.notified is not None]
        return pushes.count(True), pushes.count(False)

    def frame(self) -> pd.DataFrame:
        """Return the steps as a table, a row each, the indices in columns of their own."""
        import pandas as pd

        rows = [asdict(step) | asdict(step.indices) for step in self.steps]
        return pd.DataFrame(rows).drop(columns="indices")


class _Scene:
    """Two ends of a ring, moved by hand."""

    def __init__(self, slots: int) -> None:
        page = memoryview(bytearray(RING_OFFSET + slots * blkif.PROTOCOL.slot_size))
        initialise(page)
        self.front = FrontRing(page, blkif.PROTOCOL)
        self.back = BackRing(page, blkif.PROTOCOL)
        self.taken: deque[blkif.Request] = deque()
        self.trace = Trace()
        self.trace.front, self.trace.back = self.front, self.back
        self.next_id = 0

    def put(self) -> None:
        self.front.put([blkif.Request(blkif.READ, id=self.next_id)])
        self.trace.add("frontend", "put", request=self.next_id, index=self.front.prod_pvt - 1)
        self.next_id += 1

    def push(self) -> None:
        self._push("frontend", "push", self.front, REQ_PROD)

    def take(self) -> None:
        for request in self.back.take(at_most=1):
            self.taken.append(request)
            self.trace.add("backend", "take", request=request.id, index=self.back.cons - 1)

    def respond(self) -> None:
        request = self.taken.popleft() if self.taken else blkif.Request(blkif.READ)
        self.back.put([blkif.Response(request.id, request.operation)])
        self.trace.add("backend", "respond", request=request.id, index=self.back.prod_pvt - 1)

    def push_responses(self) -> None:
        self._push("backend", "push responses", self.back, RSP_PROD)

    def _push(self, actor: str, action: str, end: RingEnd[Any, Any], published: int) -> None:
        news = end.prod_pvt != end.shared[published]  # a push of nothing saves no notification
        notified = end.push()
        self.trace.add(actor, action, notified=notified if news else None)

    def take_response(self) -> None:
        for response in self.front.take(at_most=1):
            self.trace.add("frontend", "take response", request=response.id, index=self.front.cons - 1)

    def backend_sleeps(self) -> None:
        work = self.back.final_check()
        self.trace.add("backend", "final check", detail="work to do" if work else "sleeps")

    def frontend_sleeps(self) -> None:
        work = self.front.final_check()
        self.trace.add("frontend", "final check", detail="work to do" if work else "sleeps")


#: What `play` understands: each word is one move of one end.
MOVES = {
    "put": _Scene.put,
    "push": _Scene.push,
    "take": _Scene.take,
    "respond": _Scene.respond,
    "push responses": _Scene.push_responses,
    "take response": _Scene.take_response,
    "backend sleeps": _Scene.backend_sleeps,
    "frontend sleeps": _Scene.frontend_sleeps,
}


def play(moves: Iterable[str], slots: int = 8) -> Trace:
    """Play a scenario on a small disk ring, a move at a time; return what happened.

    Arguments: `moves`, words from `MOVES`; `slots`, a power of two. Request ids count from 0. Raises
    `XenlabError` for a word that is no move; a move that the ring does not allow raises what the ring
    raises.

    >>> play(["put", "push", "take", "backend sleeps", "put", "push"]).notifications()
    (2, 0)
    >>> play(["put", "push", "take", "put", "push", "backend sleeps"]).notifications()
    (1, 1)
    """
    scene = _Scene(slots)
    for move in moves:
        if move not in MOVES:
            raise XenlabError(f"move(={move!r}) must be one of: {', '.join(MOVES)}")
        MOVES[move](scene)
    return scene.trace
