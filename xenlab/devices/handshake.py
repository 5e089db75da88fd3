"""The handshake of one device as it was seen in xenstore: who wrote what, step by step, and both states after it.

`read` makes it of what `xenlab.devices.storelog` has read back, from a real xenstored or a simulated one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from xenlab.commands import XenlabError
from xenlab.devices.storelog import Change, Writer
from xenlab.devices.xenbus import Device, XenbusState

Side = Literal["frontend", "backend"]


class NoHandshakeError(XenlabError):
    """Nothing in the log is about a device of this guest."""


@dataclass(frozen=True)
class Step:
    """One thing that somebody did: `keys` written in one half's folder, in order.

    `state` is the state it wrote among them, if it did; `removed` says that the folder went. `frontend` and `backend`
    are both halves' states afterwards.
    """

    seconds: float
    writer: Writer
    side: Side
    keys: tuple[tuple[str, str], ...]
    state: XenbusState | None
    removed: bool
    frontend: XenbusState
    backend: XenbusState


@dataclass(frozen=True)
class Handshake:
    """What happened to one device, in order.

    `ring` and `events` are what the frontend published of its rings: grant references and event channels, by key.
    """

    device: Device
    steps: tuple[Step, ...]

    @property
    def states(self) -> list[tuple[Writer, Side, str]]:
        """Who put which half into which state, in order: the handshake in short."""
        return [(step.writer, step.side, step.state.name) for step in self.steps if step.state is not None]

    @property
    def published(self) -> dict[str, str]:
        """What the frontend wrote, its state aside: where its rings are, and what it can do."""
        written = (pair for step in self.steps if step.writer == "frontend" for pair in step.keys)
        return {key: value for key, value in written if key != "state"}

    @property
    def connected(self) -> bool:
        """True if both halves are connected at its end."""
        last = self.steps[-1]
        return last.frontend is last.backend is XenbusState.CONNECTED

    @property
    def gone(self) -> bool:
        """True if both folders are gone at its end."""
        last = self.steps[-1]
        return last.frontend is last.backend is XenbusState.UNKNOWN


def read(
    changes: Iterable[Change],
    guest: int,
    frontend: XenbusState = XenbusState.UNKNOWN,
    backend: XenbusState = XenbusState.UNKNOWN,
) -> Handshake:
    """Return the handshake of the device which the changes are about, the first if they are about several.

    Arguments: `guest`, its domain; `frontend` and `backend`, the states before the first change (UNKNOWN: the folder
    was not there). Raises `NoHandshakeError` if the changes are about no disk or network interface of this guest.

    >>> changes = [
    ...     Change(0, "toolstack", "/local/domain/1/device/vbd/51728/state", "1"),
    ...     Change(0, "toolstack", "/local/domain/0/backend/vbd/1/51728/state", "1"),
    ...     Change(0, "backend", "/local/domain/0/backend/vbd/1/51728/max-ring-page-order", "4", 1),
    ...     Change(0, "backend", "/local/domain/0/backend/vbd/1/51728/state", "2", 2),
    ... ]
    >>> read(changes, guest=1).states[-1]
    ('backend', 'backend', 'INIT_WAIT')
    """
    changes = list(changes)
    device = _device(changes, guest)
    states: dict[Side, XenbusState] = {"frontend": frontend, "backend": backend}
    steps: list[Step] = []
    for side, group in _groups(changes, device):
        keys = tuple((key, value) for key, value, _ in group if value is not None)
        removed = any(key == "" and value is None for key, value, _ in group)
        if not keys and (not removed or states[side] is XenbusState.UNKNOWN):
            continue  # a single key went; or xl clears the place before it makes a device
        state = next((XenbusState(int(value)) for key, value in keys if key == "state"), None)
        if state is not None or removed:
            states[side] = state or XenbusState.UNKNOWN
        change = group[-1][2]
        gone = removed and not keys
        steps.append(Step(change.seconds, change.writer, side, keys, state, gone, **states))
    return Handshake(device, tuple(steps))


def _device(changes: list[Change], guest: int) -> Device:
    folders = rf"/local/domain/(?:{guest}/device/(\w+)|0/backend/(\w+)/{guest})/(\d+)"
    for change in changes:
        if (match := re.match(folders, change.path)) and (match[1] or match[2]) in ("vbd", "vif"):
            return Device(match[1] or match[2], int(match[3]), guest)
    raise NoHandshakeError(f"xenstored's log must tell of a disk or vif of d{guest}; it does not")


_Written = tuple[str, str | None, Change]


def _groups(changes: list[Change], device: Device) -> Iterator[tuple[Side, list[_Written]]]:
    """Put together what one writer wrote into one folder without a break, up to a state; keys, values, changes."""
    side_before, group = None, list[_Written]()
    for change in changes:
        for side, folder in _folders(device):
            if change.path != folder and not change.path.startswith(f"{folder}/"):
                continue
            if group and not _goes_on(group, change, side == side_before):
                yield side_before, group  # type: ignore[misc]
                group = []
            side_before = side
            group.append((change.path[len(folder) + 1 :], change.value, change))
    if group:
        yield side_before, group  # type: ignore[misc]


def _goes_on(group: list[_Written], change: Change, same_side: bool) -> bool:
    last = group[-1][2]
    if not same_side or change.writer != last.writer:
        return False
    return change.commit == last.commit or all(key != "state" for key, _, _ in group)


def _folders(device: Device) -> tuple[tuple[Side, str], ...]:
    return ("frontend", device.frontend_path), ("backend", device.backend_path)
