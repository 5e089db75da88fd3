"""qemu-nbd in the simulated dom0: an image as a block device, and the locks that QEMU holds on it meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xenlab.hosts.sim import lvm, qemu_img
from xenlab.hosts.sim.process import NotSimulated, Process
from xenlab.hosts.sim.world import World
from xenlab.storage.qcow2 import Image

DEVICES = 16


@dataclass(frozen=True)
class ServedImage:
    """An image that qemu-nbd serves: a disk whose writes go into dom0's file."""

    image: Image
    file: qemu_img.ImageBytes

    @property
    def size(self) -> int:
        """Size of the disk in bytes."""
        return self.image.size

    def read(self, offset: int, length: int) -> bytes:
        """Read through the chain of images."""
        return self.image.read(offset, length)

    def write(self, offset: int, data: bytes) -> None:
        """Write into the image, and the image into its file."""
        self.image.write(offset, data)
        self.file.keep()


def modprobe(world: World, process: Process) -> int:
    """Load a kernel module, of the two that storage asks for; nbd makes its devices."""
    if process.argv[1:] not in (("nfsd",), ("nbd",)):
        raise NotSimulated(" ".join(process.argv))
    if process.argv[1] == "nbd":
        for number in range(DEVICES):
            world.files.make_folder(f"/sys/block/nbd{number}")
            if not world.files.is_file(f"/dev/nbd{number}"):
                world.files.write(f"/dev/nbd{number}", b"")
    return 0


def qemu_nbd(world: World, process: Process) -> int:
    """Serve an image as a block device, or no longer: ``qemu-nbd -c DEVICE -f qcow2 IMAGE``, ``qemu-nbd -d DEVICE``."""
    words = process.argv[1:]
    if len(words) == 2 and words[0] == "-d":
        _disconnect(world, words[1])
        process.out(f"{words[1]} disconnected\n")
        return 0
    if (
        len(words) != 5
        or (words[0], *words[2:4]) != ("-c", "-f", "qcow2")
        or not world.files.is_file(words[1])
    ):
        raise NotSimulated(" ".join(process.argv))
    device, path = words[1], words[4]
    try:
        image, files = qemu_img.open_image(world, path, qemu_img.Lock.WRITE)
    except qemu_img.CannotOpen as error:
        process.fail(f"qemu-nbd: Failed to blk_new_open '{path}': {error}")
    if device in world.locks:
        raise NotSimulated(f"{device}, which is in use")
    world.locks[device] = tuple(file.path for file in files)
    world.disks[device] = ServedImage(image, files[0])
    world.files.write(f"/sys/block/{device.removeprefix('/dev/')}/pid", f"{world.new_pid()}\n".encode())
    lvm.make_nodes(world)
    return 0


def _disconnect(world: World, device: str) -> None:
    if world.locks.pop(device, None) is None:
        return
    del world.disks[device]
    world.files.remove(f"/sys/block/{device.removeprefix('/dev/')}/pid")
    lvm.make_nodes(world)
    world.files.write(device, b"")  # the node stays


PROGRAMS: dict[str, Callable[[World, Process], int]] = {"modprobe": modprobe, "qemu-nbd": qemu_nbd}
