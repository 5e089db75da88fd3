"""The volume manager's programs in dom0 (pvcreate, lvcreate, lvs, …), the block devices they make, and dd.

What they print is `xenlab.storage.lvm`'s; here it meets the rest of the simulated host: device nodes appear
and go, a guest's disk is a volume, and dd writes to one.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from xenlab.hosts.sim.process import NotSimulated, Process
from xenlab.hosts.sim.world import World
from xenlab.storage.blockdev import BlockDevice, DiskError
from xenlab.storage.lvm import COMMANDS, LogicalVolume, run

_DD_WORDS = {"if", "of", "bs", "count", "seek", "skip", "conv", "iflag", "oflag", "status"}


def block_device(world: World, path: str) -> BlockDevice | None:
    """The disk or volume whose device node is at `path`; None if there is none."""
    if path in world.lvm.devices:
        return world.lvm.devices[path]
    for volume in world.lvm.volumes():
        if path == volume.path:
            return volume
        if path.removeprefix("/dev/mapper/") in (mapped := volume.mapped()):
            return mapped[path.removeprefix("/dev/mapper/")]
    return None


def open_device(world: World, path: str) -> None:
    """Count one more user of a volume: LVM does not remove it while it has one."""
    if isinstance(volume := block_device(world, path), LogicalVolume):
        volume.open_count += 1


def close_device(world: World, path: str) -> None:
    """Count one user less."""
    if isinstance(volume := block_device(world, path), LogicalVolume):
        volume.open_count = max(0, volume.open_count - 1)


def can_discard(world: World, path: str) -> bool:
    """Can the blocks of this disk be given back? Not those of a volume with snapshots (dm-snap.c: origin_ctr)."""
    volume = block_device(world, path)
    return not (isinstance(volume, LogicalVolume) and (volume.origin or volume.snapshots))


def device_number(world: World, path: str) -> tuple[str, str]:
    """Major and minor number in hexadecimal, as the script ``block`` writes them, and the node itself."""
    volume = block_device(world, path)
    if path.startswith("/dev/nbd"):
        return f"2b:{int(path.removeprefix('/dev/nbd')) << 5:x}", path  # 32 minor numbers each
    if not isinstance(volume, LogicalVolume):
        return "fe:20", path  # /dev/vdc: a third virtio disk, of 16 minor numbers each
    minor = list(world.lvm.volumes()).index(volume)
    return f"fd:{minor:x}", f"/dev/mapper/{volume.dm_name}"


def make_nodes(world: World) -> None:
    """Have a device node in /dev for every disk, every volume and nothing else."""
    volumes = list(world.lvm.volumes())
    nodes = {*world.lvm.devices, *(volume.path for volume in volumes)}
    nodes |= {f"/dev/mapper/{name}" for volume in volumes for name in volume.mapped()}
    for path in world.device_nodes - nodes:
        world.files.remove(path)
        folder = path.rpartition("/")[0]
        if folder not in ("/dev", "/dev/mapper") and not world.files.names(folder):
            world.files.remove_tree(folder)
    for path in nodes - world.device_nodes:
        world.files.make_folder(path.rpartition("/")[0])
        world.files.write(path, _reader(world, path))
    world.device_nodes = nodes


def _reader(world: World, path: str) -> Callable[[], bytes]:
    def read() -> bytes:
        device = block_device(world, path)
        return device.read(0, device.size) if device else b""

    return read


def _lvm_program(world: World, process: Process) -> int:
    name = process.argv[0].rpartition("/")[2]
    done = run(world.lvm, [name, *process.argv[1:]], process.stdin)
    make_nodes(world)
    process.out(done.stdout)
    process.err(done.stderr)
    return done.status


def dd(world: World, process: Process) -> int:
    """Copy blocks between devices and files, without the summary: ``status=none`` must be given."""
    given = dict(word.partition("=")[::2] for word in process.argv[1:])
    if not given.keys() <= _DD_WORDS or given.get("status") != "none":
        raise NotSimulated(" ".join(process.argv))
    size = _bytes(given.get("bs", "512"))
    count = int(given["count"]) if "count" in given else None
    source, target = given.get("if", ""), given.get("of", "")
    try:
        data = _read(world, source, size, count, int(given.get("skip", 0)), process)
    except DiskError:
        process.err(f"dd: error reading '{source}': Input/output error\n")
        return 1
    except OSError as error:
        process.err(f"dd: failed to open '{source}': {error.strerror}\n")
        return 1
    if target == "/dev/null":
        return 0
    return _write(
        world, target, data, size * int(given.get("seek", 0)), "notrunc" in given.get("conv", ""), process
    )


def _read(world: World, path: str, size: int, count: int | None, skip: int, process: Process) -> bytes:
    if path in ("/dev/zero", "/dev/urandom"):
        if count is None:
            raise NotSimulated("dd without an end")
        return bytes(size * count) if path == "/dev/zero" else world.random.randbytes(size * count)
    device = block_device(world, path)
    if device is None:
        data = world.files.read(path) if path else process.stdin.encode()
        return data[size * skip :][: None if count is None else size * count]
    left = max(0, device.size - size * skip)
    return device.read(size * skip, left if count is None else min(left, size * count))


def _write(world: World, path: str, data: bytes, offset: int, keep: bool, process: Process) -> int:
    device = block_device(world, path)
    if device is None:
        old = world.files.read(path) if world.files.is_file(path) else b""
        rest = old[offset + len(data) :] if keep else b""
        world.files.write(path, old[:offset].ljust(offset, b"\0") + data + rest)
        return 0
    try:
        device.write(offset, data[: max(0, device.size - offset)])
    except DiskError:
        process.err(f"dd: error writing '{path}': Input/output error\n")
        return 1
    if offset + len(data) > device.size:
        process.err(f"dd: error writing '{path}': No space left on device\n")
        return 1
    return 0


def _bytes(text: str) -> int:
    match = re.fullmatch(r"(\d+)([kKMG]?)", text)
    if not match:
        raise NotSimulated(f"dd bs={text}")
    return int(match[1]) << {"": 0, "k": 10, "K": 10, "M": 20, "G": 30}[match[2]]


PROGRAMS: dict[str, Callable[[World, Process], int]] = {"dd": dd, **dict.fromkeys(COMMANDS, _lvm_program)}
