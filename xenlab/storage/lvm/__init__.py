"""The Logical Volume Manager: disks cut into extents, extents put together into volumes.

Read in this order: `volumes` (physical volumes, volume groups, logical volumes, and where their bytes are),
`allocate` (which extents a volume gets), `manager` (making and removing them), `sizes` and `report` (how LVM2
prints them), `commands` (LVM2's command lines over all this).

Source: LVM2 2.03.16, the version of Debian 12.
"""

from xenlab.storage.lvm.commands import COMMANDS, run
from xenlab.storage.lvm.manager import Lvm
from xenlab.storage.lvm.names import LvmError
from xenlab.storage.lvm.volumes import LogicalVolume, PhysicalVolume, Segment, VolumeGroup

__all__ = [
    "COMMANDS",
    "LogicalVolume",
    "Lvm",
    "LvmError",
    "PhysicalVolume",
    "Segment",
    "VolumeGroup",
    "run",
]
