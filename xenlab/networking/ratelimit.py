"""The `rate=` limit of a vif: netback's credit scheme.

A guest may send `bytes_per_interval` bytes in each interval; what it sends beyond that waits in the ring
until the next interval. `xl` turns ``rate=16Mb/s`` into 100 000 bytes every 50 ms. Only what the guest
*transmits* is limited; nothing is dropped: the ring fills, and the guest's own queue holds the rest.

`Credit` is the rule alone. It is driven twice, to the same result: by `departures` over a list, and by
`Shaper`, which holds real frames back on SimPy's clock.

>>> limit = Credit(bytes_per_interval=100_000, interval_usec=50_000)
>>> departures([(0.0, 1500)] * 67, limit)[-2:]
[0.0, 0.052]

The 67th frame is the first that 100 000 bytes do not cover. It leaves after 52 ms and not 50: Linux counts
time in ticks of 4 ms (HZ=250, as Debian builds it) and rounds the interval up. So a guest gets 50/52, 96 %,
of its rate.

Source: Linux drivers/net/xen-netback/netback.c (tx_add_credit, tx_credit_exceeded, xenvif_tx_build_gops).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import simpy

from xenlab.commands import XenlabError
from xenlab.networking.clock import Timer

#: A guest must be able to send a packet of this size, however small its rate: the most credit it may save up.
MAX_BURST = 131_072
#: Ticks of the kernel's clock in a second, as Debian configures it (CONFIG_HZ).
HZ = 250


@dataclass
class Credit:
    """How much a guest may still send: the state netback keeps for each queue of a rate-limited vif.

    Arguments: `bytes_per_interval` and `interval_usec` as in the vif's xenstore key ``rate``; `hz` is the
    kernel's clock. Times given and returned are seconds; inside they are ticks. It starts with one interval's
    credit.

    Credit does not build up while a guest is silent: it is added only when a packet finds too little of it,
    one interval's worth at a time. Raises `XenlabError` if there would never be any.

    >>> limit = Credit(bytes_per_interval=2000, interval_usec=50_000)
    >>> limit.spend(0.0, 1500), limit.remaining
    (None, 500)
    >>> limit.spend(0.0, 1500)  # not now: ask again at 52 ms
    0.052
    """

    bytes_per_interval: int
    interval_usec: int
    hz: int = HZ
    remaining: int = field(init=False)
    window_start: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        if self.bytes_per_interval < 1:
            raise XenlabError(
                f"bytes_per_interval(={self.bytes_per_interval}) must be at least 1: "
                "with less the guest never sends"
            )
        self.remaining = self.bytes_per_interval

    @property
    def interval(self) -> int:
        """The interval in ticks, rounded up as the kernel's msecs_to_jiffies does."""
        return math.ceil(self.interval_usec // 1000 * self.hz / 1000)

    @property
    def throughput(self) -> float:
        """Bytes a second that a guest gets if it always has something to send."""
        if not self.interval:
            return math.inf  # under a millisecond: credit is added whenever it is short
        return self.bytes_per_interval * self.hz / self.interval

    def spend(self, now: float, size: int) -> float | None:
        """Pay for a packet of `size` bytes: None if it may go now, else the time at which `refill` is due."""
        if size > self.remaining:
            ticks = math.floor(now * self.hz + 1e-9)
            window_end = self.window_start + self.interval
            if ticks >= window_end:
                self.window_start = ticks
                self.refill()
            if size > self.remaining:
                self.window_start = window_end
                return max(window_end, ticks + 1) / self.hz  # a timer set in the past fires at the next tick
        self.remaining -= size
        return None

    def refill(self) -> None:
        """Add one interval's credit, up to `MAX_BURST` (or to one interval's, if that is more)."""
        ceiling = max(MAX_BURST, self.bytes_per_interval)
        self.remaining = min(self.remaining + self.bytes_per_interval, ceiling)


def departures(packets: Iterable[tuple[float, int]], credit: Credit) -> list[float]:
    """When each packet leaves a rate-limited vif, from (arrival in seconds, size in bytes) pairs in order of
    arrival.

    >>> limit = Credit(bytes_per_interval=1000, interval_usec=50_000)
    >>> departures([(0.0, 900), (0.01, 900), (0.5, 900)], limit)
    [0.0, 0.052, 0.5]
    """
    times: list[float] = []
    now = 0.0
    for arrival, size in packets:
        now = max(now, arrival)
        while (due := credit.spend(now, size)) is not None:
            now = due
            credit.refill()
        times.append(now)
    return times


class Shaper:
    """Holds back a guest's frames until its credit lets them go, first in, first out.

    >>> env = simpy.Environment()
    >>> shaper = Shaper(env, Credit(bytes_per_interval=1000, interval_usec=50_000))
    >>> for name in "ab":
    ...     shaper.put(900, lambda name=name: print(name, "leaves at", env.now))
    a leaves at 0
    >>> env.run()
    b leaves at 0.052
    """

    def __init__(self, env: simpy.Environment, credit: Credit) -> None:
        self._env = env
        self.credit = credit
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()
        self._held = False
        self._timer = Timer(env, self._refilled)

    def put(self, size: int, send: Callable[[], None]) -> None:
        """Call `send` when a frame of `size` bytes may leave: at once, or later."""
        self._waiting.append((size, send))
        if not self._held:
            self._drain()

    def _refilled(self) -> None:
        self.credit.refill()
        self._held = False
        self._drain()

    def _drain(self) -> None:
        while self._waiting:
            size, send = self._waiting[0]
            due = self.credit.spend(self._env.now, size)
            if due is not None:
                self._held = True
                self._timer.start(due - self._env.now)
                return
            self._waiting.popleft()
            send()
