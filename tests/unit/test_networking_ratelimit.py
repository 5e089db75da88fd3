"""netback's rate limit: one rule, two drivers, the same departures; and how much gets through."""

from __future__ import annotations

import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from xenlab.commands import XenlabError
from xenlab.networking.ratelimit import MAX_BURST, Credit, Shaper, departures

traffic = st.lists(st.tuples(st.floats(0, 0.2), st.integers(60, 1514)), max_size=30)


@settings(max_examples=60)
@given(traffic, st.integers(50, 5000), st.sampled_from([1_000, 20_000, 50_000]))
def test_the_shaper_and_the_list_driver_let_the_same_packets_go_at_the_same_times(
    gaps: list[tuple[float, int]], bytes_per_interval: int, interval_usec: int
) -> None:
    arrivals, now = [], 0.0
    for gap, size in gaps:
        now += gap
        arrivals.append((now, size))
    env = simpy.Environment()
    shaper = Shaper(env, Credit(bytes_per_interval, interval_usec))
    left: list[float] = []

    def guest() -> simpy.events.ProcessGenerator:
        for when, size in arrivals:
            yield env.timeout(max(when - env.now, 0.0))
            shaper.put(size, lambda: left.append(env.now))

    env.process(guest())
    env.run()
    assert left == pytest.approx(departures(arrivals, Credit(bytes_per_interval, interval_usec)))


@settings(max_examples=40)
@given(
    st.integers(1_500, 50_000), st.sampled_from([10_000, 50_000, 100_000]), st.sampled_from([100, 250, 1000])
)
def test_a_guest_that_always_sends_gets_its_rate_less_what_the_clock_rounds(
    bytes_per_interval: int, interval_usec: int, hz: int
) -> None:
    credit = Credit(bytes_per_interval, interval_usec, hz)
    times = departures([(0.0, 1000)] * 2000, credit)
    sent_after_first_interval = 2000 * 1000 - bytes_per_interval
    assert sent_after_first_interval / times[-1] <= credit.throughput * 1.001
    assert sent_after_first_interval / times[-1] >= credit.throughput * (
        1 - 2 * credit.interval / hz / times[-1]
    )
    assert credit.throughput <= bytes_per_interval * 1_000_000 / interval_usec


def test_sixteen_megabit_is_a_hundred_thousand_bytes_every_thirteen_ticks() -> None:
    credit = Credit(100_000, 50_000)
    assert credit.interval == 13
    assert credit.throughput == pytest.approx(2_000_000 * 50 / 52)


def test_silence_earns_no_more_than_one_interval() -> None:
    credit = Credit(10_000, 50_000)
    assert departures([(0.0, 1000)] * 10, credit) == [0.0] * 10
    assert departures([(60.0, 1000)] * 11, credit) == [60.0] * 10 + [60.052]


def test_a_packet_larger_than_an_interval_waits_until_enough_has_been_saved() -> None:
    assert departures([(0.0, 1514)], Credit(100, 50_000)) == pytest.approx([15 * 0.052])
    credit = Credit(100, 50_000)
    for _ in range(5000):
        credit.refill()
    assert credit.remaining == MAX_BURST


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(XenlabError, match=r"bytes_per_interval\(=0\) must be at least 1"):
        Credit(0, 50_000)
