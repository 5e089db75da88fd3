"""The storage of a host: LVM's groups, volumes and snapshots, by dom0's own commands; its images are in `images`.

What is made here carries the LVM tag ``xenlab``, and only what carries it is ever written, put back or removed.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from xenlab.commands import Commands
from xenlab.storage.blockdev import MemoryDisk, StorageError
from xenlab.storage.dm_snapshot import ExceptionStore
from xenlab.storage.images import ImageFile, create_image
from xenlab.storage.lvm.names import dm_name

TAG = "xenlab"
_COLUMNS = {
    "pvs": {"pv_name": "disk", "vg_name": "group", "pv_size": "size", "pv_free": "free"},
    "vgs": {
        "vg_name": "group",
        "lv_count": "volumes",
        "vg_size": "size",
        "vg_free": "free",
        "vg_tags": "tags",
    },
    "lvs": {
        "lv_name": "name",
        "vg_name": "group",
        "lv_attr": "attr",
        "lv_size": "size",
        "origin": "origin",
        "snap_percent": "full",
        "lv_tags": "tags",
    },
}
_INDEX = {"pvs": "disk", "vgs": "group", "lvs": "name"}
_MIB = 1 << 20
_BLOCK = 4096  # bytes; a chunk of LVM's snapshots has as many


class Volume:
    """A logical volume of a host: a disk for a guest. `name` is its name, `group` that of its volume group."""

    def __init__(self, host: Commands, group: str, name: str) -> None:
        self._host = host
        self.group = group
        self.name = name

    def __repr__(self) -> str:
        return f"<Volume {self.full_name}>"

    @property
    def full_name(self) -> str:
        """``group/volume``, as LVM's commands take it."""
        return f"{self.group}/{self.name}"

    @property
    def path(self) -> str:
        """Its device node in dom0."""
        return f"/dev/{self.full_name}"

    def disk(self, vdev: str = "xvda", mode: str = "rw") -> str:
        """Return the disk of a guest that this volume shall be, as xl-disk-configuration(5) writes it.

        >>> Volume(None, "vg0", "web").disk()
        '/dev/vg0/web,raw,xvda,rw'
        """
        return f"{self.path},raw,{vdev},{mode}"

    def row(self) -> dict[str, Any]:
        """What ``lvs`` says of it now: size (MiB), origin, how full it is as a snapshot (percent), …"""
        (row,) = _report(self._host, "lvs", self.full_name).to_dict("records")
        return {str(column): value for column, value in row.items()}

    @property
    def full(self) -> float:
        """How full a snapshot is, in percent; NaN for a volume that is none."""
        return float(self.row()["full"])

    @property
    def valid(self) -> bool:
        """False for a snapshot that ran full: what it held is lost."""
        return str(self.row()["attr"])[4] != "I"

    def snapshot(self, name: str, room: str) -> Volume:
        """Freeze it as it is now, with `room` (such as ``"8M"``) for what changes from now on."""
        self._host.run(["lvcreate", "--addtag", TAG, "-s", "-L", room, "-n", name, self.full_name])
        return Volume(self._host, self.group, name)

    def extend(self, size: str) -> None:
        """Let it grow to `size`, or by it: ``"200M"``, ``"+100M"``; of a snapshot, the room for changes."""
        self._host.run(["lvextend", "-L", size, self.full_name])

    def write(self, blocks: int, at: int = 0) -> None:
        """Write random data from dom0: so many blocks of 4 KiB, from block `at` on. No guest may have it open.

        Raises `StorageError` if xenlab has not made it.
        """
        self._require_ours()
        words = [f"of={self.path}", f"bs={_BLOCK}", f"count={blocks}", f"seek={at}", "conv=notrunc,fsync"]
        self._host.run(["dd", "if=/dev/urandom", *words, "status=none"])

    def read(self, blocks: int, at: int = 0) -> bytes:
        """Read so many blocks of 4 KiB in dom0, from block `at` on."""
        return self._copy(self.path, blocks, at)

    def chunks(self) -> tuple[int, int]:
        """Return of a snapshot the chunks of 4 KiB in use, its own tables among them, and how many it has room for.

        Raises `StorageError` for a volume that is no snapshot, or a snapshot that ran full.
        """
        words = self._host.run(["dmsetup", "status", dm_name(self.group, self.name)]).stdout.split()
        if words[2] != "snapshot" or "/" not in words[3]:
            raise StorageError(f"{self.full_name} must be a valid snapshot, it is: {' '.join(words[2:])}")
        used, total = words[3].split("/")
        return int(used) // 8, int(total) // 8

    def store(self) -> ExceptionStore:
        """Read of a snapshot the store as it is on the disk: the very bytes that the kernel wrote.

        Raises `StorageError` as `chunks` does.
        """
        used, total = self.chunks()
        disk = MemoryDisk(total * _BLOCK)
        disk.write(0, self._copy(f"/dev/mapper/{dm_name(self.group, self.name)}-cow", used))
        return ExceptionStore(disk)

    def _copy(self, device: str, blocks: int, at: int = 0) -> bytes:
        copy = f"/run/xenlab-{self.group}-{self.name}"
        # Directly: of what others write, the page cache of this device may know nothing.
        words = [f"bs={_BLOCK}", f"count={blocks}", f"skip={at}", "iflag=direct", "status=none"]
        self._host.run(["dd", f"if={device}", f"of={copy}", *words])
        data = self._host.get(copy)
        self._host.run(["rm", copy])
        return data

    def merge(self) -> None:
        """Put the volume that this is a snapshot of back to what it was; the snapshot is gone afterwards.

        Raises `StorageError` if it is no snapshot, if xenlab has not made both, or if a guest has one of them open,
        for then LVM would put it off; `CommandFailed` if the snapshot is invalid.
        """
        origin = str(self.row()["origin"])
        if not origin:
            raise StorageError(f"{self.full_name} must be a snapshot to be merged")
        for volume in (self, Volume(self._host, self.group, origin)):
            if volume._require_ours()[5] == "o":
                raise StorageError(f"{volume.full_name} must not be in use; end the guest that has it first")
        self._host.run(["lvconvert", "--merge", self.full_name])

    def attach(self, domain: str, vdev: str = "xvdb", mode: str = "rw") -> None:
        """Plug it into a guest that runs, as its disk `vdev`."""
        self._host.xl("block-attach", domain, self.disk(vdev, mode))

    def detach(self, domain: str, vdev: str = "xvdb") -> None:
        """Unplug it from the guest again."""
        self._host.xl("block-detach", domain, vdev)

    def remove(self) -> None:
        """Remove it and its snapshots; what they held is lost. Raises `StorageError` if xenlab has not made it."""
        self._require_ours()
        self._host.run(["lvremove", "-y", self.full_name])

    def _require_ours(self) -> str:
        """Return its attributes if xenlab has made it; raise `StorageError` otherwise."""
        row = self.row()
        _require_tag(self.full_name, str(row["tags"]))
        return str(row["attr"])


class Group:
    """A volume group of a host: disks put together, to cut volumes from."""

    def __init__(self, host: Commands, name: str) -> None:
        self._host = host
        self.name = name

    def __repr__(self) -> str:
        return f"<Group {self.name}>"

    def __getitem__(self, name: str) -> Volume:
        return Volume(self._host, self.name, name)

    def create(self, name: str, size: str) -> Volume:
        """Make a volume of `size`, such as ``"100M"``, rounded up to whole extents of 4 MiB."""
        self._host.run(["lvcreate", "--addtag", TAG, "-L", size, "-n", name, self.name])
        return self[name]

    def remove(self) -> None:
        """Remove it with all its volumes, and let go of its disks. Raises `StorageError` if xenlab has not made it."""
        groups, disks = _report(self._host, "vgs", self.name), _report(self._host, "pvs")
        _require_tag(self.name, str(groups.loc[self.name, "tags"]))
        self._host.run(["vgremove", "-y", self.name])
        self._host.run(["pvremove", *disks.index[disks["group"] == self.name]])


class Storage:
    """The storage of a host, as tables and as things to work with.

    Arguments: `host`, where the commands run.
    """

    def __init__(self, host: Commands) -> None:
        self._host = host

    def disks(self) -> pd.DataFrame:
        """LVM's disks by path: group, size and free (MiB), as ``pvs`` shows them."""
        return _report(self._host, "pvs")

    def groups(self) -> pd.DataFrame:
        """The volume groups by name: volumes, size and free (MiB), tags, as ``vgs`` shows them."""
        return _report(self._host, "vgs")

    def volumes(self) -> pd.DataFrame:
        """The logical volumes by name: group, attr, size (MiB), origin, full (percent), tags, as ``lvs`` shows them."""
        return _report(self._host, "lvs")

    def create_group(self, name: str, *disks: str) -> Group:
        """Make a volume group of disks.

        Nothing is overwritten: LVM asks before it takes a disk that holds something, and nobody answers.
        """
        self._host.run(["vgcreate", "--addtag", TAG, name, *disks])
        return Group(self._host, name)

    def __getitem__(self, group: str) -> Group:
        return Group(self._host, group)

    def create_image(self, path: str, size: str) -> ImageFile:
        """Make an empty qcow2 image at `path`, `size` such as ``"64M"``; raises `StorageError` if there is a file."""
        return create_image(self._host, path, size)


def _require_tag(name: str, tags: str) -> None:
    if TAG not in tags.split(","):
        raise StorageError(
            f"{name} must carry the tag {TAG!r} to be changed from here: xenlab has not made it; "
            "type the command in dom0's own shell if you mean it"
        )


def _report(host: Commands, command: str, *about: str) -> pd.DataFrame:
    """Run a report with columns of our choosing and sizes in bytes; return it with sizes in MiB."""
    columns = _COLUMNS[command]
    style = ["--noheadings", "--units", "b", "--nosuffix", "--separator", "|", "-o", ",".join(columns)]
    lines = host.run([command, *style, *about]).stdout.splitlines()
    frame = pd.DataFrame([line.strip().split("|") for line in lines], columns=list(columns.values()))
    return _typed(frame).set_index(_INDEX[command])


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    for name in ("size", "free"):
        if name in frame:
            frame[name] = frame[name].astype("int64") / _MIB
    if "volumes" in frame:
        frame["volumes"] = frame["volumes"].astype("int64")
    if "full" in frame:
        frame["full"] = pd.to_numeric(frame["full"])
    return frame
