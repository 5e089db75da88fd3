"""The commands that make, grow and remove logical volumes.

Source: LVM2 2.03.16, tools/lvcreate.c, tools/lvresize.c, lib/metadata/lv_manip.c: percent_of_extents.
"""

from __future__ import annotations

from collections.abc import Iterable

from xenlab.storage.lvm.call import Call
from xenlab.storage.lvm.manager import max_snapshot_extents
from xenlab.storage.lvm.names import LvmError, check_lv_name
from xenlab.storage.lvm.sizes import parse_extents, parse_size, spell_size
from xenlab.storage.lvm.volumes import CHUNK_SIZE, LogicalVolume, VolumeGroup


def lvcreate(call: Call) -> None:
    """Make a volume, or with ``-s`` a snapshot of one."""
    snapshot = "snapshot" in call.options
    if "size" in call.options and "extents" in call.options:
        raise call.wrong("Please specify either size or extents (not both).")
    if not call.arguments and snapshot:
        raise call.lacks(
            "-s|--snapshot -L|--size Size[m|UNIT] LV", "Create a COW snapshot LV of an origin LV."
        )
    if not call.arguments:  # what LVM2 2.03.16 takes for the nearest
        raise call.lacks(
            "--type error -L|--size Size[m|UNIT] VG", "Create an LV that returns errors when used."
        )
    if "size" not in call.options and "extents" not in call.options:
        raise (
            LvmError("Please specify either size or extents with snapshots.") if snapshot else call.no_match()
        )
    chunk_size = _chunk_size(call)
    target, *disks = call.arguments
    target = target.removeprefix("/dev/")
    if snapshot and "/" not in target:
        raise call.wrong("The origin name should include the volume group.")
    if not snapshot and "/" in target:
        raise call.wrong("Volume group name expected (no slash)")
    group_name = target.partition("/")[0]
    name = _new_name(call, group_name)
    group = call.lvm.group(group_name)
    if snapshot:
        origin = call.lvm.origin(target)
        extents = _new_extents(call, group, origin, chunk_size)
        volume = call.lvm.create_snapshot(origin, name, extents, chunk_size, disks)
    else:
        extents = _new_extents(call, group, None, chunk_size)
        volume = call.lvm.create_lv(group_name, name, extents, disks)
    volume.tags = call.tags
    call.say(f'Logical volume "{volume.name}" created.')


def _new_name(call: Call, group_name: str) -> str | None:
    """Return the name given for a volume, which may have that of the group before it; None if none was given."""
    name = call.options.get("name")
    if name is None:
        return None
    before, slash, name = name.rpartition("/")
    if slash and before != group_name:
        raise call.wrong(f'Inconsistent volume group names given: "{before}" and "{group_name}"')
    check_lv_name(name, "lvcreate")
    return name


def _chunk_size(call: Call) -> int:
    text = call.options.get("chunksize")
    if text is None:
        return CHUNK_SIZE
    size = parse_size("--chunksize", text, unit="k")[1]
    if size & (size - 1) or not 4096 <= size <= 512 * 1024:
        raise call.wrong("Chunk size must be a power of 2 in the range 4K to 512K.")
    return size


def _new_extents(call: Call, group: VolumeGroup, origin: LogicalVolume | None, chunk_size: int) -> int:
    """Work out how many extents a new volume asks for, and say where that is not what was given."""
    most = max_snapshot_extents(origin.size, chunk_size, group.extent_size) if origin else 0
    if "size" in call.options:
        size = parse_size("--size", call.options["size"])[1]
        if not size:
            raise call.wrong("--size may not be zero.")
        extents = -(-size // group.extent_size)
        if size % group.extent_size:
            call.say(f"Rounding up size to full physical extent {spell_size(extents * group.extent_size)}")
    else:
        _, extents, base = parse_extents("--extents", call.options["extents"])
        if not extents:
            raise call.wrong("--extents may not be zero.")
        if base:
            extents = _share(call, group, origin, extents, base, most)
    if origin and extents > most:
        asked, given = (spell_size(count * group.extent_size) for count in (extents, most))
        call.say(f"Reducing COW size {asked} down to maximum usable size {given}.")
        extents = most
    return extents


def _share(
    call: Call, group: VolumeGroup, origin: LogicalVolume | None, percent: int, base: str, most: int
) -> int:
    """Turn a percentage for ``lvcreate -l`` into extents; never more than are free."""
    if base == "LV" or (base == "ORIGIN" and not origin):
        raise LvmError(f"Please express size as %FREE{', %ORIGIN' if origin else ''}, %PVS or %VG.")
    if base == "ORIGIN" and origin:
        extents = most - origin.extents + -(-origin.extents * percent // 100)
    else:
        extents = (group.free if base == "FREE" else group.extents) * percent // 100
    if base == "VG" and extents > group.free:
        room = spell_size(group.free * group.extent_size)
        call.say(f"Reducing {percent}%VG to remaining free space {room} in VG.")
    extents = min(extents, group.free)
    if not extents and base == "ORIGIN":
        raise LvmError(
            f"Insufficient suitable allocatable extents found for logical volume {call.options.get('name')}."
        )
    if not extents:
        raise LvmError("Calculated size of logical volume is 0 extents. Needs to be larger.")
    return extents


def lvextend(call: Call) -> None:
    """Let a volume grow, or a snapshot's room for exceptions."""
    if "size" in call.options and "extents" in call.options:
        raise call.wrong("Please specify either size or extents but not both.")
    if "size" not in call.options and "extents" not in call.options:
        raise call.no_match()
    if not call.arguments:
        raise call.lacks("-L|--size [+]Size[m|UNIT] LV", "Extend an LV by a specified size.")
    path = call.arguments[0].removeprefix("/dev/")
    if "/" not in path:
        raise call.wrong("Please specify a logical volume path.")
    group_name, _, volume_name = path.partition("/")
    group = call.lvm.group(group_name)
    if volume_name not in group.volumes:
        raise LvmError(f"Logical volume {volume_name} not found in volume group {group_name}.")
    volume = group.volumes[volume_name]
    before, extents = volume.extents, _grown_extents(call, volume)
    if volume.origin:
        most = max_snapshot_extents(volume.size, volume.chunk_size, group.extent_size)
        if extents > most:
            call.say(f"Reached maximum COW size {spell_size(most * group.extent_size)} ({most} extents).")
            extents = most
    old, new = (f"{spell_size(count * group.extent_size)} ({count} extents)" for count in (before, extents))
    if volume.origin and extents == before:
        call.say(f"Size of logical volume {volume.full_name} unchanged from {old}.")
    else:
        call.lvm.extend_lv(volume, extents)
        call.say(f"Size of logical volume {volume.full_name} changed from {old} to {new}.")
    call.say(f"Logical volume {volume.full_name} successfully resized.")


def _grown_extents(call: Call, volume: LogicalVolume) -> int:
    group = volume.group
    if "size" in call.options:
        sign, size = parse_size("--size", call.options["size"])
        extents = -(-size // group.extent_size)
        if size % group.extent_size:
            call.say(
                f"Rounding size to boundary between physical extents: {spell_size(extents * group.extent_size)}."
            )
    else:
        sign, extents, base = parse_extents("--extents", call.options["extents"])
        whole = {"FREE": group.free, "VG": group.extents, "PVS": group.extents, "LV": volume.extents}
        if base == "ORIGIN":
            raise LvmError("Please express size as %FREE, %LV, %PVS or %VG.")
        if base:
            extents = -(-whole[base] * extents // 100)
            extents = min(extents, group.free if sign else volume.extents + group.free)
    if not extents:
        raise call.wrong(f"--{'size' if 'size' in call.options else 'extents'} may not be zero.")
    return volume.extents + extents if sign else extents


_NO_DAEMON = LvmError(
    "/run/lvm/lvmpolld.socket: connect failed: No such file or directory\n"
    "WARNING: Failed to connect to lvmpolld. Proceeding with polling without using lvmpolld.\n"
    "WARNING: Check global/use_lvmpolld in lvm.conf or the lvmpolld daemon state.",
    status=0,
)


_MERGES = (
    "Merge LV that was split from a mirror (variant, use --mergemirrors). \n"
    "  Merge thin LV into its origin LV (variant, use --mergethin). \n"
    "  Merge COW snapshot LV into its origin (variant, use --mergesnapshot)."
)


def lvconvert(call: Call) -> None:
    """Of lvconvert, the one part that puts a volume back to what a snapshot holds: ``lvconvert --merge``.

    It goes on with what it must wait for by itself, as where there is no lvmpolld.
    """
    if not call.arguments:
        raise call.lacks("--merge VG|LV|Tag ...", _MERGES)
    if "merge" not in call.options:
        volume = call.lvm.volume(call.arguments[0])
        kind = "snapshot" if volume.origin else "linear"
        raise LvmError(
            f"Command on LV {volume.full_name} does not accept LV type {kind}.\n"
            f"Command not permitted on LV {volume.full_name}."
        )

    def merge(name: str) -> None:
        snapshot = call.lvm.volume(name)
        origin = snapshot.origin
        call.lvm.merge_snapshot(snapshot)
        call.say(f"Merging of volume {snapshot.full_name} started.")
        call.fail(_NO_DAEMON)
        if origin:
            call.say(f"{origin.full_name}: Merged: 100.00%")
            call.say(f"Merge of snapshot into logical volume {origin.full_name} has finished.")
        call.say(f'Logical volume "{snapshot.name}" successfully removed.')

    call.each(call.arguments, merge)


def lvremove(call: Call) -> None:
    """Remove volumes, or all of a group."""

    def remove(name: str) -> None:
        if "/" in name.removeprefix("/dev/"):
            remove_volume(call, call.lvm.volume(name))
            return
        group = call.lvm.group(name)
        call.each(
            list(group.volumes),
            lambda each: remove_volume(call, group.volumes[each]) if each in group.volumes else None,
        )

    call.each(call.arguments, remove)


def check_unused(volumes: Iterable[LogicalVolume]) -> None:
    """Raise `LvmError` if a guest or a mount has one of them open."""
    for volume in volumes:
        if volume.open_count:
            raise LvmError(f"Logical volume {volume.full_name} in use.")


def remove_volume(call: Call, volume: LogicalVolume) -> None:
    """Remove a volume after asking, its snapshots first."""
    check_unused((volume, *volume.snapshots))
    count = len(volume.snapshots)
    what = "active origin logical volume" if count else "active logical volume"
    extra = f" with {count} snapshots(s)" if count else ""
    if not call.agrees(f"Do you really want to remove {what} {volume.full_name}{extra}?"):
        raise LvmError(f"Logical volume {volume.full_name} not removed.")
    for each in (*volume.snapshots, volume):
        call.lvm.remove_lv(each)
        call.say(f'Logical volume "{each.name}" successfully removed.')
