"""All orders of accesses of two ends: the ring keeps its promises in each, and broken rings are found out."""

import pytest

from xenlab.devices.interleavings import Access, HastyBack, HastyFront, explore
from xenlab.devices.ring import BackRing, FrontRing


@pytest.mark.parametrize(
    ("requests", "slots", "batch", "at"),
    [(3, 1, 1, 0), (3, 2, 1, 2**32 - 1), (4, 2, 2, 2**32 - 2), (4, 4, 3, 0), (5, 2, 2, 2**32 - 4)],
)
def test_no_request_is_lost_or_doubled_and_no_wake_up_missed(requests, slots, batch, at):
    result = explore(requests, slots, batch, at=at)
    assert result.ok, result.story
    assert result.situations > 500


@pytest.mark.parametrize("ends", [{"back": HastyBack}, {"front": HastyFront}])
def test_without_the_final_check_an_end_sleeps_through_an_entry(ends):
    result = explore(requests=2, **ends)
    assert result.violation == "both ends sleep for good: of 2 requests 2 were sent, 1 taken, 1 answered" or (
        result.violation == "both ends sleep for good: of 2 requests 2 were sent, 2 taken, 1 answered"
    )
    hasty = "backend" if "back" in ends else "frontend"
    assert any(access.end == hasty and access.kind == "sleep" for access in result.story)


def test_with_store_buffers_a_ring_needs_its_barriers():
    assert explore(requests=2, store_buffers=True).ok
    assert "sleep for good" in explore(requests=2, store_buffers=True, barriers=False).violation


class PublishesFirst(FrontRing):
    """Moves req_prod before it has written the requests, as a missing write barrier would."""

    def put(self, entries):
        self.shared[0] = self.prod_pvt + len(entries)
        super().put(entries)


class Forgetful(BackRing):
    """Takes requests, and forgets that it has."""

    def take(self, at_most=1 << 31):
        cons = self.cons
        taken = super().take(at_most)
        self.cons = cons
        return taken


class NeverNotifies(FrontRing):
    """Believes that the backend polls."""

    def push(self):
        super().push()
        return False


class OverEager(FrontRing):
    """Thinks a ring has one slot more than it has."""

    @property
    def free(self):
        return super().free + 1


@pytest.mark.parametrize(
    ("ends", "violation"),
    [
        ({"front": PublishesFirst}, "the backend sees entry -1 where 0 was to come"),
        ({"back": Forgetful}, "must fit in the 0 free of 2 slots"),
        ({"front": NeverNotifies}, "of 3 requests 2 were sent, 0 taken, 0 answered"),
        ({"front": OverEager}, "the backend sees entry 2 where 0 was to come"),
    ],
)
def test_every_way_to_break_a_ring_is_found_and_told(ends, violation):
    result = explore(requests=3, slots=2, **ends)
    assert violation in result.violation
    assert result.story


def test_a_story_reads_as_what_the_two_ends_did():
    assert str(Access("frontend", "write", 0, 1)) == "frontend: write req_prod = 1"
    assert str(Access("backend", "read", 68, 7)) == "backend: read slot 1 = 7"
    assert str(Access("backend", "sleep")) == "backend: sleep"
