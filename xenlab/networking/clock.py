"""A timer: something to be done later, unless it is put off or called off."""

from __future__ import annotations

from collections.abc import Callable

import simpy


class Timer:
    """A one-shot timer on SimPy's clock that can be set again or stopped, like the kernel's `timer_list`.

    Arguments: `env` is the simulation, `action` what to do when the timer fires.

    >>> env = simpy.Environment()
    >>> timer = Timer(env, lambda: print("fired at", env.now))
    >>> timer.start(5.0)
    >>> timer.start(2.0)  # setting it again replaces the first
    >>> env.run()
    fired at 2.0
    """

    def __init__(self, env: simpy.Environment, action: Callable[[], None]) -> None:
        self._env = env
        self._action = action
        self._armed: simpy.Event | None = None

    def start(self, delay: float) -> None:
        """Fire `delay` seconds from now, and not when it was set to before."""
        self._armed = self._env.timeout(delay)
        self._armed.callbacks.append(self._fire)

    def stop(self) -> None:
        """Do not fire."""
        self._armed = None

    def _fire(self, event: simpy.Event) -> None:
        if event is self._armed:
            self._armed = None
            self._action()
