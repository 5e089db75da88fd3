"""What libxl does to plug a guest's disks and network interfaces in and out.

It makes both folders of a device in xenstore, waits for the backend in dom0's kernel, and runs a hotplug script;
the rest of the handshake is the two kernels' own business (`backends`, `frontends`). Sources: libxl_disk.c,
libxl_nic.c, libxl_device.c; tools/hotplug/Linux/block, vif-bridge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import NoReturn

from xenlab.devices.blkif import SECTOR_SIZE
from xenlab.devices.xenbus import Device
from xenlab.hosts.sim import lvm
from xenlab.hosts.sim.backends import Blkback, new_backend
from xenlab.hosts.sim.domconfig import DomainConfig, Vif
from xenlab.hosts.sim.libxl_log import ERROR_FAIL, ERROR_INVAL, LibxlError, Log, libxl_log
from xenlab.hosts.sim.machine import GuestType
from xenlab.hosts.sim.process import NotSimulated
from xenlab.hosts.sim.storelog import SCRIPT
from xenlab.hosts.sim.world import World
from xenlab.storage.backend import BackendError, PathKind, choose_backend
from xenlab.storage.blockdev import check_range
from xenlab.storage.diskspec import Backend, DiskSpec
from xenlab.storage.vdev import VdevError, vdev_number

INITIALISING = "1"
DEFAULT_MTU = 1500


def set_defaults(world: World, config: DomainConfig, domid: int, log: Log) -> DomainConfig:
    """Choose each disk's backend, number the interfaces and give them addresses; raises `LibxlError`."""
    for index, disk in enumerate(config.disks):
        try:
            disk_backend(world, disk, config.type)
        except BackendError as error:
            libxl_log(log, error.where, str(error))
            libxl_log(
                log,
                "libxl_create.c:1318:initiate_domain_create",
                f"Unable to set disk defaults for disk {index}",
                domid,
            )
            raise LibxlError(ERROR_INVAL) from None
    taken = max((vif.devid for vif in config.vifs), default=-1)
    vifs = []
    for vif in config.vifs:
        if vif.devid < 0:
            taken += 1
        vifs.append(
            replace(
                vif, devid=taken if vif.devid < 0 else vif.devid, mac=vif.mac or world.new_mac(), type="vif"
            )
        )
    return replace(config, vifs=tuple(vifs))


def disk_backend(world: World, disk: DiskSpec, guest: GuestType) -> Backend:
    """The backend that libxl chooses for a disk; raises `BackendError` if none will do."""
    path = disk.target or ""
    kind: PathKind = "file" if world.files.is_file(path) else "missing"
    if world.files.is_folder(path):
        kind = "directory"
    if path in world.device_nodes:
        kind = "block device"
    return choose_backend(disk, kind, guest=guest).backend


def add_disks(world: World, config: DomainConfig, domid: int, log: Log) -> None:
    """Make a new domain's disks."""
    for disk in config.disks:
        try:
            number = vdev_number(disk.vdev)
        except VdevError as error:
            for where in ("214:libxl__device_from_disk", "335:device_disk_add"):
                libxl_log(log, f"libxl_disk.c:{where}", str(error), domid)
            libxl_log(log, "libxl_create.c:1672:domcreate_launch_dm", "unable to add disk devices", domid)
            raise LibxlError(ERROR_FAIL) from None
        if disk_backend(world, disk, config.type) == "qdisk":
            _start_no_qemu(config, domid, log)
        start(world, lay_out_disk(world, disk, number, domid, config.type))


def _start_no_qemu(config: DomainConfig, domid: int, log: Log) -> NoReturn:
    """What libxl says where QEMU shall serve a disk, in a dom0 that has none, like the box's."""
    if config.type != "pv":
        raise NotSimulated(f"a disk that QEMU serves, for a guest of type {config.type}")
    program = "device model /usr/libexec/xen-qemu-system-i386 is not executable: No such file or directory"
    for where, text in (
        ("libxl_dm.c:2909:libxl__spawn_local_dm", program),
        (
            "libxl_dm.c:2911:libxl__spawn_local_dm",
            "Please install the qemu-system-xen package for this domain to work",
        ),
        ("libxl_dm.c:3161:device_model_spawn_outcome", "(null): spawn failed (rc=-3)"),
        ("libxl_dm.c:3381:device_model_postconfig_done", "Post DM startup configs failed, rc=-3"),
        ("libxl_create.c:1896:domcreate_devmodel_started", "device model did not start: -3"),
    ):
        libxl_log(log, where, text, domid)
    raise LibxlError(ERROR_FAIL)


def lay_out_disk(world: World, disk: DiskSpec, number: int, domid: int, guest: GuestType) -> Device:
    """Write a disk's folders into xenstore."""
    kind = disk_backend(world, disk, guest)
    if kind != "phy":
        raise NotSimulated(f"a disk with the backend {kind}")
    device_type = "cdrom" if disk.is_cdrom else "disk"
    discard = disk.readwrite if disk.discard is None else disk.discard
    back = {
        "params": disk.target or "",
        "script": f"/etc/xen/scripts/{disk.script or 'block'}",
        "frontend-id": str(domid),
        "online": "1",
        "removable": str(int(disk.is_cdrom)),
        "bootable": "1",
        "state": INITIALISING,
        "dev": disk.vdev or "",
        "type": kind,
        "mode": "w" if disk.readwrite else "r",
        "device-type": device_type,
        "discard-enable": str(int(discard)),
        "specification": "xen",
    }
    front = {
        "backend-id": "0",
        "state": INITIALISING,
        "virtual-device": str(number),
        "device-type": device_type,
        "trusted": "1",
    }
    if guest == "pv":
        front["protocol"] = "x86_64-abi"
    return _lay_out(world, Device("vbd", number, domid), back, front)


def add_vifs(world: World, config: DomainConfig, domid: int) -> None:
    """Make a new domain's network interfaces."""
    for vif in config.vifs:
        start(world, lay_out_vif(world, vif, domid))


def lay_out_vif(world: World, vif: Vif, domid: int) -> Device:
    """Write a network interface's folders into xenstore."""
    mtu = vif.mtu or DEFAULT_MTU
    script = (vif.script or "vif-bridge").rpartition("/")[2]
    optional = {
        "vifname": vif.ifname,
        "mac": vif.mac,
        "ip": vif.ip,
        "gatewaydev": vif.gatewaydev,
        "rate": f"{vif.rate[0]},{vif.rate[1]}" if vif.rate else None,
        "mtu": None if mtu == DEFAULT_MTU else str(mtu),
        "bridge": vif.bridge or "xenbr0",
    }
    back = {"frontend-id": str(domid), "online": "1", "state": INITIALISING}
    back["script"] = f"/etc/xen/scripts/{script}"
    back |= {key: value for key, value in optional.items() if value is not None}
    back |= {"handle": str(vif.devid), "type": "vif", "hotplug-status": ""}
    front = {
        "backend-id": "0",
        "state": INITIALISING,
        "handle": str(vif.devid),
        "mac": vif.mac or "",
        "trusted": str(int(vif.trusted is not False)),
        "mtu": str(mtu),
    }
    device = Device("vif", vif.devid, domid)
    return _lay_out(world, device, back, front, {"mtu": ("n0", f"r{domid}")})


def _lay_out(
    world: World,
    device: Device,
    back: dict[str, str],
    front: dict[str, str],
    permissions: Mapping[str, tuple[str, ...]] = {},
) -> Device:
    """Write both halves of a device, and libxl's own copy (libxl__device_generic_add).

    `permissions` are of those of the frontend's keys that are not the guest's.
    """
    store, domid, kept = world.store, device.frontend, kept_path(device)
    frontend, backend = device.frontend_path, device.backend_path
    with store.transaction():
        for key, value in {"frontend": frontend, "backend": backend}.items():
            store.write(f"{kept}/{key}", value)
        store.make(frontend, (f"n{domid}", "r0"))
        for key, value in {"backend": backend, **front}.items():
            store.write(f"{frontend}/{key}", value)
            if key in permissions:
                store.set_permissions(f"{frontend}/{key}", permissions[key])
        store.make(backend, ("n0", f"r{domid}"))
        for key, value in {"frontend": frontend, **back}.items():
            store.write(f"{backend}/{key}", value)
        for key, value in back.items():
            store.write(f"{kept}/{key}", value)
    return device


def kept_path(device: Device) -> str:
    """Where libxl keeps its own copy of what it knows of a device."""
    return f"/libxl/{device.frontend}/device/{device.kind}/{device.id}"


def start(world: World, device: Device, pause: Callable[[], None] = lambda: None) -> None:
    """Let dom0's kernel and the hotplug script do their part; `pause` is called before each of their steps."""
    pause()
    world.backends[device.backend_path] = new_backend(world, device.kind, device.backend_path)
    for path, value in _script(world, device):
        pause()
        with world.store.speaking(SCRIPT):
            world.store.write(path, value)


def _script(world: World, device: Device) -> Iterator[tuple[str, str]]:
    """What the hotplug scripts ``block`` and ``vif-bridge`` write, in their order; a file gets a loop device."""
    backend = device.backend_path
    if device.kind == "vif":
        yield f"{device.frontend_path}/mtu", world.store.read(f"{device.frontend_path}/mtu") or ""
    else:
        target = world.store.read(f"{backend}/params") or ""
        if target in world.device_nodes:
            lvm.open_device(world, target)
            number, node = lvm.device_number(world, target)
        else:
            loop = world.next_loop()
            number, node = f"7:{loop:x}", f"/dev/loop{loop}"
            yield f"{backend}/node", node
        yield f"{backend}/physical-device", number
        yield f"{backend}/physical-device-path", node
    yield f"{backend}/hotplug-status", "connected"


def remove(world: World, device: Device) -> None:
    """Take a device's folders, and those above that it leaves empty, out of xenstore (libxl__device_destroy)."""
    _let_go(world, device.backend_path)
    with world.store.transaction():
        for path in (device.frontend_path, kept_path(device), device.backend_path):
            _clean_up(world, path)


def _let_go(world: World, backend: str) -> None:
    if "/vbd/" in backend:
        lvm.close_device(world, world.store.read(f"{backend}/params") or "")
    world.backends.pop(backend).end()


def _clean_up(world: World, path: str) -> None:
    world.store.remove(path)
    above = path.rpartition("/")[0]
    while above and not (world.store.read(above) or world.store.names(above)):
        world.store.remove(above)
        above = above.rpartition("/")[0]


def write_disk(world: World, domid: int, number: int, offset: int, data: bytes) -> None:
    """Write what a guest writes to its disk where the disk really is: a volume, or a file in dom0.

    Raises `DiskError` if the disk fails.
    """
    backend = world.store.read(f"/local/domain/{domid}/device/vbd/{number}/backend") or ""
    path = world.store.read(f"{backend}/params") or ""
    device = lvm.block_device(world, path)
    if isinstance(served := world.backends.get(backend), Blkback):
        served.count("wr", sectors=len(data) // SECTOR_SIZE)
        served.count("f")  # each write is flushed: the workload says conv=fsync
    if device is not None:
        device.write(offset, data)
        return
    old = world.files.read(path) if world.files.is_file(path) else b""
    check_range(offset, len(data), len(old))
    world.files.write(path, old[:offset] + data + old[offset + len(data) :])


def remove_all(world: World, domid: int) -> None:
    """Take the backends of a domain's devices out of xenstore."""
    world.net.disconnect(domid)
    backends = "/local/domain/0/backend"
    for kind in world.store.names(backends) or []:
        folder = f"{backends}/{kind}/{domid}"
        for number in world.store.names(folder) or []:
            if f"{folder}/{number}" in world.backends:
                _let_go(world, f"{folder}/{number}")
        if world.store.names(folder) is not None:
            _clean_up(world, folder)
