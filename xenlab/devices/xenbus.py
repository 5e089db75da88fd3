"""xenbus: how the two halves of a driver find each other and agree, by a handshake over xenstore.

A device is two directories. The frontend's lies in the guest's home, the backend's in that of the domain
which owns the hardware; each names the other and holds a `state`. Each half writes only its own directory
and watches the other's state:

    step                                           frontend         backend
    the toolstack makes both directories           Initialising     Initialising
    the backend publishes what it can do           Initialising     InitWait
    the frontend grants a ring, opens a port       Initialised      InitWait
    the backend maps the ring, binds the port      Initialised      Connected
    the frontend reads the device's properties     Connected        Connected

To unplug, the toolstack writes ``online`` = 0 and ``state`` = Closing into the backend's directory; the
halves close, the frontend first, and the toolstack removes the directories.

Sources: xen/include/public/io/xenbus.h; the state diagrams of io/blkif.h; libxl_device.c:
libxl__device_generic_add, libxl__initiate_device_generic_remove; Linux drivers/xen/xenbus.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from xenlab.commands import XenlabError
from xenlab.devices.machine import Domain
from xenlab.devices.trace import Trace
from xenlab.devices.xenstore import Client, Transaction, XenstoreError


class XenbusState(IntEnum):
    """How far one half of a device has come (enum xenbus_state)."""

    UNKNOWN = 0
    INITIALISING = 1
    INIT_WAIT = 2
    INITIALISED = 3
    CONNECTED = 4
    CLOSING = 5
    CLOSED = 6
    RECONFIGURING = 7
    RECONFIGURED = 8


class XenbusError(XenlabError):
    """A handshake that cannot go on, because the other half wrote what makes no sense."""


@dataclass(frozen=True)
class Device:
    """A device by name: its kind (``vbd``, ``vif``), its number, the guest that uses it, the domain that
    serves it.

    >>> Device("vbd", 51712, frontend=1).backend_path
    '/local/domain/0/backend/vbd/1/51712'
    """

    kind: str
    id: int
    frontend: int
    backend: int = 0

    @property
    def frontend_path(self) -> str:
        """The frontend's directory."""
        return f"/local/domain/{self.frontend}/device/{self.kind}/{self.id}"

    @property
    def backend_path(self) -> str:
        """The backend's directory."""
        return f"/local/domain/{self.backend}/backend/{self.kind}/{self.frontend}/{self.id}"


def plug(
    store: Client, device: Device, frontend: Mapping[str, object], backend: Mapping[str, object]
) -> None:
    """Make both directories of a device in one transaction, as the toolstack does
    (libxl__device_generic_add).

    `frontend` and `backend` are further keys. Each half owns its directory and may read the other's.
    """

    def make(t: Transaction) -> None:
        for path, owner, reader, keys in (
            (
                device.frontend_path,
                device.frontend,
                device.backend,
                {"backend": device.backend_path, "backend-id": device.backend} | dict(frontend),
            ),
            (
                device.backend_path,
                device.backend,
                device.frontend,
                {"frontend": device.frontend_path, "frontend-id": device.frontend, "online": 1}
                | dict(backend),
            ),
        ):
            t.mkdir(path)
            t.set_permissions(path, f"n{owner},r{reader}")
            for key, value in (keys | {"state": int(XenbusState.INITIALISING)}).items():
                t.write(f"{path}/{key}", value)

    store.atomically(make)


def unplug(store: Client, device: Device) -> None:
    """Ask both halves to close, and remove the directories once the backend has (xl block-detach).

    Raises `XenbusError` if there is no such device.
    """
    state_path = f"{device.backend_path}/state"
    if not store.exists(state_path):
        raise XenbusError(f"{device.kind} {device.id} of d{device.frontend} is not there; plug it first")

    def close(t: Transaction) -> None:
        t.write(f"{device.backend_path}/online", 0)
        if read_state(t, device.backend_path) is not XenbusState.CLOSED:
            t.write(state_path, int(XenbusState.CLOSING))

    def backend_changed(_path: str, token: str) -> None:
        if read_state(store, device.backend_path) is XenbusState.CLOSED:
            store.unwatch(state_path, token)
            store.rm(device.frontend_path)
            store.rm(device.backend_path)

    store.watch(state_path, "unplug", backend_changed)
    store.atomically(close)


def read_state(store: Client | Transaction, path: str) -> XenbusState:
    """Return the state in a directory; UNKNOWN if there is none that makes sense."""
    try:
        return XenbusState(int(store.read(f"{path}/state")))
    except (XenstoreError, ValueError):
        return XenbusState.UNKNOWN


class XenbusEnd:
    """One half of a device: it keeps its own state and follows the other's.

    Arguments: `domain` it runs in; `path`, its directory; `other`, the key there that names the other
    half's (``backend`` or ``frontend``); `trace`, if steps are to be noted. `state` is this half's own.
    Subclasses say in `other_changed` what to do.
    """

    actor: str

    def __init__(self, domain: Domain, path: str, other: str, trace: Trace | None = None) -> None:
        self.domain = domain
        self.store = domain.store
        self.path = path
        self.trace = trace
        self.other_path = self.store.read(f"{path}/{other}")
        self.other_domid = int(self.store.read(f"{path}/{other}-id"))
        self.state = XenbusState.INITIALISING
        self.port = 0

    def follow(self) -> None:
        """Begin to watch the other half's state."""
        self.store.watch(f"{self.other_path}/state", self.path, self._on_event)

    def unfollow(self) -> None:
        """End the watch."""
        self.store.unwatch(f"{self.other_path}/state", self.path)

    def _on_event(self, _path: str, _token: str) -> None:
        self.other_changed(read_state(self.store, self.other_path))

    def other_changed(self, state: XenbusState) -> None:
        """React to the other half's state; called once at the start and whenever it may have changed."""
        raise NotImplementedError

    def switch(self, state: XenbusState, keys: Mapping[str, object] | None = None) -> None:
        """Publish some keys and this half's new state in one transaction, if its directory is still there."""

        def publish(t: Transaction) -> None:
            for key, value in (keys or {}).items():
                t.write(f"{self.path}/{key}", value)
            t.write(f"{self.path}/state", int(state))

        if self.store.exists(f"{self.path}/state"):
            self.store.atomically(publish)
        self.state = state
        self.note("state", detail=state.name)

    def other_key(self, key: str, default: int | None = None) -> int:
        """Return a number from the other half's directory; raise `XenbusError` if it is none or missing."""
        path = f"{self.other_path}/{key}"
        if default is not None and not self.store.exists(path):
            return default
        try:
            return int(self.store.read(path))
        except (XenstoreError, ValueError) as error:
            raise XenbusError(f"{path} must be a number: {error}") from error

    def fatal(self, error: Exception) -> None:
        """Give up: write the reason where the administrator finds it, and close (xenbus_dev_fatal)."""
        directory = self.path.removeprefix(f"/local/domain/{self.domain.domid}/")
        self.store.write(f"error/{directory}/error", error)
        self.note("error", detail=str(error))
        self.switch(XenbusState.CLOSING)

    def note(self, action: str, **details: object) -> None:
        """Add a step to the trace, if there is one."""
        if self.trace is not None:
            self.trace.add(self.actor, action, **details)  # type: ignore[arg-type]
