"""The manager itself: making, growing and removing volumes, in LVM2's words when it cannot.

Source: LVM2, tools/lvcreate.c, lib/metadata/lv_manip.c, lib/metadata/snapshot_manip.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from xenlab.storage.blockdev import BlockDevice
from xenlab.storage.lvm.allocate import Area, allocate
from xenlab.storage.lvm.names import LvmError, check_lv_name, check_vg_name
from xenlab.storage.lvm.volumes import (
    CHUNK_SIZE,
    EXTENT_SIZE,
    LogicalVolume,
    PhysicalVolume,
    Segment,
    VolumeGroup,
)


def max_snapshot_extents(size: int, chunk_size: int, extent_size: int) -> int:
    """Return the extents that a snapshot of `size` bytes needs if every chunk changes.

    Source: LVM2, lib/metadata/snapshot_manip.c: cow_max_extents.

    >>> max_snapshot_extents(16 << 20, 4096, EXTENT_SIZE)
    5
    """
    chunks = -(-size // chunk_size)
    per_area = chunk_size // 16
    total = 1 + chunks + (chunks + per_area) // per_area
    return -(-total * chunk_size // extent_size)


class Lvm:
    """The volume manager of one dom0.

    Arguments: `devices`, the disks of the dom0 by path; it is looked into at every command, so disks may come
    and go.

    >>> from xenlab.storage.blockdev import MemoryDisk
    >>> lvm = Lvm({"/dev/xvdb": MemoryDisk(1 << 30)})
    >>> _ = lvm.create_pv("/dev/xvdb")
    >>> group = lvm.create_vg("vg0", ["/dev/xvdb"])
    >>> web = lvm.create_lv("vg0", "web", extents=25)
    >>> web.write(0, b"before")
    >>> monday = lvm.create_snapshot(web, "monday", extents=5)
    >>> web.write(0, b"after!")
    >>> monday.read(0, 6), group.free
    (b'before', 225)
    """

    def __init__(self, devices: Mapping[str, BlockDevice]) -> None:
        self.devices = devices
        self.pvs: dict[str, PhysicalVolume] = {}
        self.groups: dict[str, VolumeGroup] = {}

    # ---- finding

    def group(self, name: str) -> VolumeGroup:
        """Return a volume group by name or ``/dev/name``; raise `LvmError` if there is none."""
        name = name.removeprefix("/dev/")
        if name not in self.groups:
            raise LvmError(f'Volume group "{name}" not found\nCannot process volume group {name}')
        return self.groups[name]

    def volume(self, name: str) -> LogicalVolume:
        """Return a logical volume by ``group/volume``, by its device node or its node in /dev/mapper.

        Raises `LvmError` if there is none.
        """
        if name.startswith("/dev/mapper/"):
            parts = re.split("(?<!-)-(?!-)", name.removeprefix("/dev/mapper/"))
            name = "/".join(part.replace("--", "-") for part in parts)
        group_name, _, volume_name = name.removeprefix("/dev/").partition("/")
        if "/" in volume_name:
            raise LvmError(f'"{name}": Invalid path for Logical Volume.')
        group = self.group(group_name)
        if volume_name not in group.volumes:
            raise LvmError(f'Failed to find logical volume "{group_name}/{volume_name}"')
        return group.volumes[volume_name]

    def volumes(self) -> Iterator[LogicalVolume]:
        """Yield all logical volumes."""
        for group in self.groups.values():
            yield from group.volumes.values()

    # ---- physical volumes and groups

    def create_pv(self, path: str) -> PhysicalVolume:
        """Make a physical volume of the disk at `path`; one that is in no group is made anew."""
        if path not in self.devices:
            raise LvmError(f"No device found for {path}.")
        pv = self.pvs.get(path)
        if pv and pv.group:
            raise LvmError(
                f'Can\'t initialize physical volume "{path}" of volume group "{pv.group.name}" without -ff\n'
                f"{path}: physical volume not initialized."
            )
        self.pvs[path] = PhysicalVolume(path, self.devices[path])
        return self.pvs[path]

    def remove_pv(self, path: str) -> None:
        """Take a disk out of LVM's hands."""
        pv = self.pvs.get(path)
        if pv is None:
            raise LvmError(
                f"No {'PV found on device' if path in self.devices else 'device found for'} {path}."
            )
        if pv.group:
            raise LvmError(
                f"PV {path} is used by VG {pv.group.name} so please use vgreduce first.\n"
                "(If you are certain you need pvremove, then confirm by using --force twice.)\n"
                f"{path}: physical volume label not removed."
            )
        del self.pvs[path]

    def create_vg(self, name: str, paths: list[str], extent_size: int = EXTENT_SIZE) -> VolumeGroup:
        """Make a volume group of physical volumes."""
        self.check_new_vg(name)
        group = VolumeGroup(name, extent_size)
        self._add(group, paths)
        self.groups[name] = group
        return group

    def check_new_vg(self, name: str) -> None:
        """Raise `LvmError` if a new group cannot have this name."""
        check_vg_name(name)
        if name in self.groups:
            raise LvmError(f"A volume group called {name} already exists.")

    def extend_vg(self, name: str, paths: list[str]) -> None:
        """Add physical volumes to a group."""
        self._add(self.group(name), paths)

    def remove_vg(self, name: str) -> None:
        """Remove a group that has no volumes; its physical volumes stay."""
        group = self.group(name)
        for pv in group.pvs:
            pv.group = None
        del self.groups[group.name]

    def check_groupless(self, paths: Iterable[str]) -> None:
        """Raise `LvmError` if one of these disks belongs to a group."""
        for path in paths:
            pv = self.pvs.get(path)
            if pv and pv.group:
                raise LvmError(
                    f"Physical volume '{path}' is already in volume group '{pv.group.name}'\n"
                    f"Unable to add physical volume '{path}' to volume group '{pv.group.name}'\n"
                    f"{path}: physical volume not initialized."
                )

    def _add(self, group: VolumeGroup, paths: list[str]) -> None:
        self.check_groupless(paths)
        for path in paths:
            pv = self.pvs.get(path) or self.create_pv(path)
            pv.group = group
            group.pvs.append(pv)

    # ---- logical volumes

    def origin(self, name: str) -> LogicalVolume:
        """Return a volume of which a snapshot can be made; raise `LvmError` if it cannot."""
        group_name, _, volume_name = name.removeprefix("/dev/").partition("/")
        group = self.group(group_name)
        if volume_name not in group.volumes:
            raise LvmError(f"Snapshot origin LV {volume_name} not found in Volume group {group.name}.")
        if group.volumes[volume_name].origin:
            raise LvmError("Snapshots of snapshots are not supported.")
        return group.volumes[volume_name]

    def create_lv(
        self, group_name: str, name: str | None, extents: int, disks: Sequence[str] = ()
    ) -> LogicalVolume:
        """Make a linear volume; without a name it is called ``lvol0``, ``lvol1`` and so on.

        `disks`: paths of the physical volumes it may be on; without any, all of the group's.
        """
        return self._create(self.group(group_name), name, extents, None, CHUNK_SIZE, disks)

    def create_snapshot(
        self,
        origin: LogicalVolume,
        name: str | None,
        extents: int,
        chunk_size: int = CHUNK_SIZE,
        disks: Sequence[str] = (),
    ) -> LogicalVolume:
        """Make a snapshot of a volume, with `extents` of room for exceptions of `chunk_size` bytes."""
        return self._create(origin.group, name, extents, origin, chunk_size, disks)

    def extend_lv(self, volume: LogicalVolume, extents: int) -> None:
        """Let a volume grow to `extents`."""
        more = extents - volume.extents
        if more == 0:
            raise LvmError(f"New size ({extents} extents) matches existing size ({extents} extents).")
        if more < 0:
            raise LvmError(
                f"New size given ({extents} extents) not larger than existing size ({volume.extents} extents)"
            )
        if volume.snapshots:
            raise LvmError("Snapshot origin volumes can be resized only while inactive: try lvchange -an.")
        if more > volume.group.free:
            raise LvmError(
                f"Insufficient free space: {more} extents needed, but only {volume.group.free} available"
            )
        pvs = volume.group.pvs
        held = [Area(pvs.index(segment.pv), segment.first, segment.count) for segment in volume.segments]
        for segment in volume.group.segments(allocate(more, volume.group.free_areas(), held)):
            last = volume.segments[-1]
            if segment.pv is last.pv and segment.first == last.first + last.count:
                volume.segments[-1] = Segment(last.pv, last.first, last.count + segment.count)
            else:
                volume.segments.append(segment)

    def remove_lv(self, volume: LogicalVolume) -> None:
        """Remove a volume that has no snapshots; its extents are free again."""
        if volume.open_count:
            raise LvmError(f"Logical volume {volume.full_name} in use.")
        if volume.snapshots:
            raise LvmError(f"Can't remove origin {volume.full_name} before its snapshots.")
        volume.release()
        del volume.group.volumes[volume.name]

    def merge_snapshot(self, volume: LogicalVolume) -> None:
        """Put the origin of a snapshot back to what the snapshot holds, and remove the snapshot."""
        if volume.snapshot is None:
            raise LvmError(f"{volume.full_name} cannot be merged because --trackchanges was not used.")
        if not volume.snapshot.store.valid:
            raise LvmError(f"Unable to merge invalidated snapshot LV {volume.full_name}.")
        volume.snapshot.merge()
        self.remove_lv(volume)

    def _create(
        self,
        group: VolumeGroup,
        name: str | None,
        extents: int,
        origin: LogicalVolume | None,
        chunk_size: int,
        disks: Sequence[str],
    ) -> LogicalVolume:
        if name is None:
            taken = [
                int(found[1]) for volume in group.volumes if (found := re.fullmatch(r"lvol(\d+)", volume))
            ]
            name = f"lvol{max(taken, default=-1) + 1}"
        check_lv_name(name, "lvcreate")
        if name in group.volumes:
            raise LvmError(f'Logical Volume "{name}" already exists in volume group "{group.name}"')
        for path in disks:
            if path not in [pv.path for pv in group.pvs]:
                raise LvmError(f'Physical Volume "{path}" not found in Volume Group "{group.name}".')
        if extents > group.free:
            raise LvmError(
                f'Volume group "{group.name}" has insufficient free space ({group.free} extents): {extents} required.'
            )
        room = group.free_areas(disks)
        if disks and not room:
            full = "".join(f'WARNING: No free extents on physical volume "{path}".\n' for path in disks)
            raise LvmError(f"{full}No specified PVs have space available.")
        lacking = extents - sum(area.count for area in room)
        if lacking > 0:
            raise LvmError(
                f"Insufficient suitable allocatable extents for logical volume {name}: {lacking} more required"
            )
        volume = LogicalVolume(name, group, group.segments(allocate(extents, room)), origin, chunk_size)
        group.volumes[name] = volume
        return volume
