"""A host's virtual devices: plugged in and out while their handshake is written down, listed, and read back.

The same commands on a real Xen and on the simulator: ``xl block-attach``, ``network-attach`` and their kin,
``xenstore-control`` for xenstored's own log (see `xenlab.devices.storelog`), ``lsevtchn`` for the event channels, and
what dom0's kernel counts for each disk in sysfs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pandas as pd

from xenlab.commands import Commands, XenlabError
from xenlab.devices import handshake, storelog
from xenlab.devices.handshake import Handshake
from xenlab.devices.xenbus import Device, XenbusState
from xenlab.storage.vdev import vdev_number

#: Where xenstored writes its log while a handshake is followed.
LOG = "/run/xenlab-xenstored.log"
#: How long a handshake that `xl` has begun may take to end (s); that of a paused guest does not.
PATIENCE = 30.0
_COUNTERS = {"rd_req": "reads", "wr_req": "writes", "f_req": "flushes", "rd_sect": "sectors read"}
_COUNTERS |= {"wr_sect": "sectors written"}


class NoSuchDeviceError(XenlabError):
    """The guest has no such device."""


class Devices:
    """The virtual disks and network interfaces of a host's guests.

    While a device is plugged in or out, xenstored writes its log to `LOG`; afterwards the log is off and the file gone.
    If the host's administrator had it on, it must be switched on again. Where xenstored is not the one in C,
    `CommandFailed` says that it has no such log, and nothing has been plugged.

    Args:
        host: Where commands run.

    """

    def __init__(self, host: Commands) -> None:
        self._host = host

    # -- plugging

    def attach_disk(self, domain: str, disk: str) -> Handshake:
        """Plug a disk into a guest that runs.

        Args:
            domain: Its name.
            disk: An xl-disk-configuration(5) string, such as ``"/dev/vg0/web,raw,xvdb,rw"``.

        Raises:
            CommandFailed: `xl` refused.

        """
        return self._attach(domain, "block-attach", disk)

    def detach_disk(self, domain: str, vdev: str, force: bool = False) -> Handshake:
        """Unplug the disk `vdev`; with `force` without asking the guest, which may lose what it has not written.

        Raises:
            CommandFailed: There is none, or the guest did not let go of it within ten seconds.

        """
        device = Device("vbd", vdev_number(vdev), self._id(domain))
        return self._detach(device, "block-detach", *(["-f"] if force else []), domain, vdev)

    def attach_vif(self, domain: str, *options: str) -> Handshake:
        """Plug a network interface into a guest that runs.

        Args:
            domain: Its name.
            options: As in xl-network-configuration(5), such as ``"bridge=xenbr0"``.

        Raises:
            CommandFailed: `xl` refused.

        """
        return self._attach(domain, "network-attach", *options)

    def detach_vif(self, domain: str, number: int) -> Handshake:
        """Unplug the network interface of this number; a guest that does not answer within ten seconds is not asked.

        Raises:
            CommandFailed: There is none.

        """
        return self._detach(Device("vif", number, self._id(domain)), "network-detach", domain, str(number))

    # -- looking

    def disks(self, domain: str) -> pd.DataFrame:
        """A guest's disks by number, as ``xl block-list`` shows them: backend, state, event channel, grant of its ring.

        A frontend that has not said yet where they are, or has several rings, has -1 there.
        """
        columns = {"vdev": 0, "backend": 1, "state": 3, "event channel": 4, "ring": 5}
        return self._table("block-list", domain, columns)

    def interfaces(self, domain: str) -> pd.DataFrame:
        """A guest's network interfaces by number, as ``xl network-list`` shows them; its rings are for tx and rx."""
        columns = {"number": 0, "backend": 1, "mac": 2, "state": 4, "event channel": 5, "rings": 6}
        return self._table("network-list", domain, columns)

    def rings(self, domain: str) -> pd.DataFrame:
        """Every ring of a guest's devices, as its frontends have published it, and the other end of its event channel.

        By device and ring: grant (the reference of its page), port (of the guest), dom0 port (missing while unbound).
        """
        guest = self._id(domain)
        ends = self._event_channels(guest)
        rows = []
        for device in self._devices(guest):
            keys = self._keys(device.frontend_path)
            for ring in sorted(key for key in keys if key.endswith("ring-ref")):
                prefix, way = re.fullmatch(r"(queue-\d+/)?(?:([tr]x)-)?ring-ref", ring).groups("")  # type: ignore[union-attr]
                port = keys.get(f"{prefix}event-channel-{way}" if way else f"{prefix}event-channel")
                number = int(port or keys[f"{prefix}event-channel"])
                name = ring.removesuffix("ring-ref").rstrip("-/") or "ring"
                rows.append((f"{device.kind}-{device.id}", name, int(keys[ring]), number, ends.get(number)))
        frame = pd.DataFrame(rows, columns=["device", "ring", "grant", "port", "dom0 port"])
        return frame.astype({"dom0 port": "Int64"}).set_index(["device", "ring"])

    def requests(self, domain: str) -> pd.DataFrame:
        """What dom0's kernel has been asked by a guest's disks since they were plugged in: requests and sectors.

        By disk, from xen-blkback's files in sysfs: reads, writes, flushes, sectors read, sectors written.
        """
        guest = self._id(domain)
        disks = [device for device in self._devices(guest) if device.kind == "vbd"]
        rows = []
        for disk in disks:
            folder = f"/sys/bus/xen-backend/devices/vbd-{guest}-{disk.id}/statistics"
            paths = [f"{folder}/{name}" for name in _COUNTERS]
            rows.append([int(word) for word in self._host.run(["cat", *paths]).stdout.split()])
        index = pd.Index([disk.id for disk in disks], name="vdev")
        return pd.DataFrame(rows, columns=list(_COUNTERS.values()), index=index)

    # -- how

    def _attach(self, domain: str, *words: str) -> Handshake:
        command, *options = words
        guest = self._id(domain)
        with self._logged(guest) as seen:
            self._host.xl(command, domain, *options)
            return self._followed(seen, lambda so_far: so_far.connected)

    def _detach(self, device: Device, *words: str) -> Handshake:
        states = [self._state(path) for path in (device.frontend_path, device.backend_path)]
        with self._logged(device.frontend, *states) as seen:
            self._host.xl(*words)
            return self._followed(seen, lambda so_far: so_far.gone)

    @contextmanager
    def _logged(self, guest: int, *states: XenbusState) -> Iterator[Callable[[], Handshake]]:
        """Have xenstored write its log, and give a function that says what it shows of a device so far."""

        def seen() -> Handshake:
            log = self._host.get(LOG).decode(errors="replace").rpartition(storelog.BEGINNING)[2]
            return handshake.read(storelog.read(log, guest), guest, *states)

        self._host.run(["xenstore-control", "logfile", LOG])
        try:
            yield seen
        finally:
            self._host.run(["xenstore-control", "log", "off"])
            self._host.run(["rm", "-f", LOG])

    def _followed(self, seen: Callable[[], Handshake], over: Callable[[Handshake], bool]) -> Handshake:
        """`xl` has done its part; the kernels go on for a moment."""
        end = self._host.now() + PATIENCE
        while not over(so_far := seen()) and self._host.now() < end:
            self._host.wait(0.2)
        return so_far

    def _id(self, domain: str) -> int:
        return int(self._host.xl("domid", domain))

    def _table(self, command: str, domain: str, columns: dict[str, int]) -> pd.DataFrame:
        lines = [line.split() for line in self._host.xl(command, domain).splitlines()[1:]]
        frame = pd.DataFrame(
            [[words[place] for place in columns.values()] for words in lines], columns=list(columns)
        )
        for name in frame.columns.difference(["mac", "state", "rings"]):
            frame[name] = frame[name].astype("int64")
        frame["state"] = [XenbusState(int(state)).name for state in frame["state"]]
        return frame.set_index(frame.columns[0])

    def _devices(self, guest: int) -> list[Device]:
        found = []
        for kind in ("vbd", "vif"):
            listed = self._host.run(["xenstore-list", f"/local/domain/{guest}/device/{kind}"], check=False)
            found += [Device(kind, int(number), guest) for number in listed.stdout.split()]
        return found

    def _keys(self, folder: str) -> dict[str, str]:
        """All that is below a folder of xenstore."""
        lines = self._host.run(["xenstore-ls", "-f", folder]).stdout.splitlines()
        pairs = (line.partition(" = ") for line in lines)
        return {path.removeprefix(f"{folder}/"): value.strip('"') for path, _, value in pairs}

    def _state(self, folder: str) -> XenbusState:
        found = self._host.run(["xenstore-read", f"{folder}/state"], check=False)
        return XenbusState(int(found.stdout)) if found.ok else XenbusState.UNKNOWN

    def _event_channels(self, guest: int) -> dict[int, int]:
        """dom0's port for each of the guest's that is joined to one."""
        listed = self._host.run(["lsevtchn", str(guest)]).stdout
        joined = re.findall(r"^ *(\d+): .*\(Connected\) - Remote Domain 0, Port (\d+)$", listed, re.MULTILINE)
        return {int(port): int(other) for port, other in joined}
