"""A virtual block device, whole: what `xl block-attach` does, with a frontend in the guest and a backend in
dom0.

This is where the two halves of a disk driver meet for the reader; in the model as in the real thing they know
each other only through xenstore, one shared page and one event channel.
"""

from __future__ import annotations

from dataclasses import dataclass

from xenlab.devices.blkback import BlockBackend
from xenlab.devices.blkfront import BlockFrontend
from xenlab.devices.machine import Domain, Machine
from xenlab.devices.trace import Trace
from xenlab.devices.xenbus import Device, plug, unplug
from xenlab.storage.blockdev import BlockDevice

#: The number of xvda: (202 << 8) | (disk << 4) | partition.
XVDA = 202 << 8


@dataclass(frozen=True)
class VirtualDisk:
    """A disk plugged into a guest: its name in xenstore, and its two halves."""

    machine: Machine
    device: Device
    front: BlockFrontend
    back: BlockBackend

    def detach(self) -> None:
        """Unplug it (xl block-detach) and let the machine run until both halves have closed."""
        if self.front.trace is not None:
            self.front.trace.add("toolstack", "unplug", detail="backend CLOSING")
        unplug(self.machine.dom0.store, self.device)
        self.machine.run()


def attach(
    machine: Machine,
    guest: Domain,
    disk: BlockDevice,
    *,
    id: int = XVDA,
    mode: str = "w",
    persistent: bool = True,
    trace: Trace | None = None,
) -> VirtualDisk:
    """Plug a disk into a guest and let the machine run until both halves have connected.

    Arguments: `disk`, anything with a size, `read` and `write`; `id`, the virtual device number; `mode`,
    ``r`` or ``w``; `persistent`, whether the frontend wants grants to last; `trace`, to note each step.

    >>> from xenlab.storage.blockdev import MemoryDisk
    >>> machine = Machine()
    >>> disk = MemoryDisk(size=1 << 20)
    >>> xvda = attach(machine, machine.create(1, "web"), disk)
    >>> xvda.front.state.name, xvda.back.state.name, xvda.front.sectors
    ('CONNECTED', 'CONNECTED', 2048)
    >>> xvda.front.write(100, b"through the ring".ljust(512))
    >>> disk.read(100 * 512, 16)
    b'through the ring'
    >>> xvda.detach()
    >>> xvda.front.state.name, machine.dom0.store.exists(xvda.device.backend_path)
    ('CLOSED', False)
    """
    device = Device("vbd", id, frontend=guest.domid)
    frontend_keys = {"virtual-device": id, "device-type": "disk"}
    if trace is not None:
        trace.add("toolstack", "plug", detail="both INITIALISING")
    plug(machine.dom0.store, device, frontend_keys, {"mode": mode, "type": "phy", "device-type": "disk"})
    back = BlockBackend(machine.dom0, device.backend_path, disk, trace)
    front = BlockFrontend(guest, device.frontend_path, persistent=persistent, trace=trace)
    machine.run()
    return VirtualDisk(machine, device, front, back)
