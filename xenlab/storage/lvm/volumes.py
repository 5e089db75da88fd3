"""Physical volumes, volume groups, logical volumes: who owns which extent, and where a volume's bytes are.

A disk handed to LVM becomes a *physical volume*. A *volume group* pools physical volumes and cuts them into
*extents* of 4 MiB. A *logical volume* is a list of extents, which need not be neighbours; the guest that gets
it sees one disk. A *snapshot* is a volume whose extents hold the exceptions of a device-mapper snapshot of
another volume, its origin.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xenlab.storage.blockdev import BlockDevice, check_range, pieces
from xenlab.storage.dm_snapshot import Snapshot, SnapshotOrigin
from xenlab.storage.lvm.allocate import Area
from xenlab.storage.lvm.names import dm_name

MIB = 1 << 20
EXTENT_SIZE = 4 * MIB
CHUNK_SIZE = 4096  # LVM's default for snapshots
_DATA_START = MIB  # before it lie the label and the metadata


class PhysicalVolume:
    """A disk in LVM's hands. `path` is its name in dom0, `device` the disk, `group` where it belongs, if anywhere."""

    def __init__(self, path: str, device: BlockDevice) -> None:
        self.path = path
        self.device = device
        self.group: VolumeGroup | None = None

    @property
    def extents(self) -> int:
        """Whole extents on the disk, once it is in a group."""
        return (self.device.size - _DATA_START) // self.group.extent_size if self.group else 0

    @property
    def free(self) -> int:
        """Extents that no volume uses."""
        if self.group is None:
            return 0
        return sum(area.count for area in self.group.free_areas() if self.group.pvs[area.pv] is self)

    @property
    def size(self) -> int:
        """Bytes: those of its extents, or of the whole disk while it is in no group."""
        return self.extents * self.group.extent_size if self.group else self.device.size


@dataclass(frozen=True)
class Segment:
    """A piece of a logical volume: `count` extents of `pv` from extent `first`."""

    pv: PhysicalVolume
    first: int
    count: int


class LinearDevice:
    """The linear target of device-mapper: segments one after the other.

    Arguments: `segments`, which may grow while the device is in use; `extent_size` in bytes.
    """

    def __init__(self, segments: list[Segment], extent_size: int) -> None:
        self.segments = segments
        self._extent_size = extent_size

    @property
    def size(self) -> int:
        """Size in bytes."""
        return sum(segment.count for segment in self.segments) * self._extent_size

    def read(self, offset: int, length: int) -> bytes:
        """Read across segments."""
        return b"".join(device.read(at, step) for device, at, step in self._places(offset, length))

    def write(self, offset: int, data: bytes) -> None:
        """Write across segments."""
        done = 0
        for device, at, step in self._places(offset, len(data)):
            device.write(at, data[done : done + step])
            done += step

    def _places(self, offset: int, length: int) -> Iterator[tuple[BlockDevice, int, int]]:
        """Yield where on which disk each part of a byte range is."""
        check_range(offset, length, self.size)
        for extent, start, step in pieces(offset, length, self._extent_size):
            segment, within = self._find(extent)
            yield segment.pv.device, _DATA_START + (segment.first + within) * self._extent_size + start, step

    def _find(self, extent: int) -> tuple[Segment, int]:
        for segment in self.segments:
            if extent < segment.count:
                return segment, extent
            extent -= segment.count
        raise IndexError(extent)


class LogicalVolume:
    """A volume, and the disk a guest gets with it.

    `origin` is the volume this one is a snapshot of, None if it is none. `open_count` says how many use it (a
    guest's backend, a mount): one that is in use cannot be removed. `tags` are words that somebody gave it.
    """

    def __init__(
        self,
        name: str,
        group: VolumeGroup,
        segments: list[Segment],
        origin: LogicalVolume | None,
        chunk_size: int,
    ) -> None:
        self.name = name
        self.group = group
        self.origin = origin
        self.chunk_size = chunk_size
        self.open_count = 0
        self.tags: frozenset[str] = frozenset()
        self._linear = LinearDevice(segments, group.extent_size)
        self._linear.write(0, bytes(4096))  # lvcreate clears the start, so that nothing old is taken for data
        self._as_origin = SnapshotOrigin(self._linear)
        self._snapshot = Snapshot(origin._as_origin, self._linear, chunk_size) if origin else None

    @property
    def segments(self) -> list[Segment]:
        """Its pieces, in order."""
        return self._linear.segments

    @property
    def extents(self) -> int:
        """Extents it takes."""
        return sum(segment.count for segment in self.segments)

    @property
    def allocated(self) -> int:
        """Bytes it takes in its group; a snapshot's room for exceptions."""
        return self._linear.size

    @property
    def size(self) -> int:
        """Bytes a guest sees; a snapshot's are its origin's."""
        return self._as_origin.size if self.origin is None else self.origin.size

    @property
    def snapshots(self) -> list[LogicalVolume]:
        """The snapshots of this volume, oldest first."""
        return [volume for volume in self.group.volumes.values() if volume.origin is self]

    @property
    def snapshot(self) -> Snapshot | None:
        """The device-mapper snapshot under it, None if it is no snapshot."""
        return self._snapshot

    @property
    def full_name(self) -> str:
        """``group/volume``."""
        return f"{self.group.name}/{self.name}"

    @property
    def path(self) -> str:
        """Its device node."""
        return f"/dev/{self.full_name}"

    @property
    def dm_name(self) -> str:
        """Its device-mapper name."""
        return dm_name(self.group.name, self.name)

    def mapped(self) -> dict[str, BlockDevice]:
        """Its devices in device-mapper by name: itself, and beneath a snapshot or an origin the extents alone."""
        devices: dict[str, BlockDevice] = {self.dm_name: self}
        if self.origin or self.snapshots:
            devices[f"{self.dm_name}-{'cow' if self.origin else 'real'}"] = self._linear
        return devices

    def read(self, offset: int, length: int) -> bytes:
        """Read what the guest would."""
        return (self._snapshot or self._as_origin).read(offset, length)

    def write(self, offset: int, data: bytes) -> None:
        """Write as the guest would; snapshots of this volume get the old contents first."""
        (self._snapshot or self._as_origin).write(offset, data)

    def release(self) -> None:
        """Take it out of device-mapper: its origin no longer copies out to it."""
        if self._snapshot:
            self._snapshot.drop()


class VolumeGroup:
    """A pool of extents. `pvs` in the order they were added, `volumes` by name in the order they were made.

    `tags` are words that somebody gave it.
    """

    def __init__(self, name: str, extent_size: int) -> None:
        self.name = name
        self.extent_size = extent_size
        self.tags: frozenset[str] = frozenset()
        self.pvs: list[PhysicalVolume] = []
        self.volumes: dict[str, LogicalVolume] = {}

    @property
    def extents(self) -> int:
        """Extents of all its physical volumes."""
        return sum(pv.extents for pv in self.pvs)

    @property
    def free(self) -> int:
        """Extents that no volume uses."""
        return sum(area.count for area in self.free_areas())

    def free_areas(self, disks: Sequence[str] = ()) -> list[Area]:
        """Return the free extents as areas, by physical volume and start; with `disks`, only those on these paths."""
        areas = []
        for number, pv in enumerate(self.pvs):
            if disks and pv.path not in disks:
                continue
            used = sorted(
                (segment.first, segment.first + segment.count)
                for volume in self.volumes.values()
                for segment in volume.segments
                if segment.pv is pv
            )
            at = 0
            for first, end in [*used, (pv.extents, pv.extents)]:
                if first > at:
                    areas.append(Area(number, at, first - at))
                at = end
        return areas

    def segments(self, areas: Sequence[Area]) -> list[Segment]:
        """Turn areas that were chosen into segments of a volume."""
        return [Segment(self.pvs[area.pv], area.first, area.count) for area in areas]
