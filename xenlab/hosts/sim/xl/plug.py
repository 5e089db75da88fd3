"""xl block-attach, block-detach, network-attach and network-detach (xl_block.c, xl_nic.c; libxl_device.c)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from xenlab.devices.xenbus import Device, XenbusState
from xenlab.hosts.sim import devices
from xenlab.hosts.sim.domconfig import Vif, libxl_json
from xenlab.hosts.sim.guest import Guest
from xenlab.hosts.sim.libxl_log import LibxlError
from xenlab.hosts.sim.machine import Domain
from xenlab.hosts.sim.process import NotSimulated
from xenlab.hosts.sim.xl.invocation import Invocation
from xenlab.hosts.sim.xl.sched import c_int
from xenlab.networking.hotplug import HotplugError
from xenlab.networking.vifspec import VifError, read_arguments
from xenlab.storage.backend import BackendError
from xenlab.storage.diskspec import DiskSpec, DiskSpecError, parse_disk
from xenlab.storage.vdev import VdevError, vdev_number

T = TypeVar("T")
STEP_SECONDS = 0.25  # between two steps of a hotplug script
SCRIPT_SECONDS = 0.5  # what a hotplug script takes to clean up
WAIT_SECONDS = 10.0  # LIBXL_DESTROY_TIMEOUT


def block_attach(xl: Invocation) -> int:
    """``xl block-attach DOMAIN DISK-SPEC...``."""
    _, operands = xl.options("block-attach", required=2)
    name = operands[0]
    if not (name.isdigit() or xl.world.domain_named(name)):
        xl.fail(f"{name} is an invalid domain identifier")
    domid = xl.domid(name)
    try:
        disk = parse_disk(*operands[1:])
    except DiskSpecError as error:
        xl.fail(str(error))
    if xl.dry_run:
        xl.out(f"disk: {libxl_json(disk.to_json())}\n\n")
        return 0
    return _added(xl, "disk", lambda: _add_disk(xl, disk, domid))


def network_attach(xl: Invocation) -> int:
    """``xl network-attach DOMAIN [key=value]...``."""
    _, operands = xl.options("network-attach", required=1)
    domid = xl.domid(operands[0])
    try:
        spec, said = read_arguments(operands[1:])
    except VifError as error:
        xl.fail(str(error))
    for line in said:
        xl.err(f"{line}\n")
    vif = Vif.of(spec)
    if xl.dry_run:
        xl.out(f"vif: {libxl_json(vif.to_json())}\n\n")
        return 0
    return _added(xl, "nic", lambda: _add_vif(xl, vif, domid))


def block_detach(xl: Invocation) -> int:
    """``xl block-detach [-f] DOMAIN DEVICE``."""
    options, operands = xl.options("block-detach", "f", {"force": "f"}, required=2)
    domid, name = xl.domid(operands[0]), operands[1]
    try:
        device = Device("vbd", vdev_number(name), domid)
    except VdevError:
        xl.fail(f"Error: Device {name} not connected.")
    kept = devices.kept_path(device)
    if xl.world.store.read(kept) is None:
        where = "libxl_disk.c:516:libxl__disk_from_xenstore"
        xl.log(where, f"disk {kept} does not exist (no backend path")
        xl.fail(f"Error: Device {name} not connected.")
    if not _remove(xl, device, force=bool(options)):
        xl.log(
            "libxl_device.c:1181:device_backend_callback",
            f"unable to remove device with path {device.backend_path}",
            domid,
        )
        xl.log(
            "libxl_device.c:1481:device_addrm_aocomplete",
            f"Unable to remove vbd with id {device.id}",
            domid,
        )
        xl.fail("libxl_device_disk_safe_remove failed.")
    return 0


def network_detach(xl: Invocation) -> int:
    """``xl network-detach DOMAIN NUMBER|MAC``."""
    _, operands = xl.options("network-detach", required=2)
    domid, name = xl.domid(operands[0]), operands[1]
    number = _with_mac(xl, domid, name) if ":" in name else c_int(name)
    device = Device("vif", -1 if number is None else number, domid)
    kept = devices.kept_path(device)
    if number is not None and xl.world.store.read(kept) is None:
        where = "libxl_xshelp.c:206:libxl__xs_read_mandatory"
        xl.log(where, f"xenstore read failed: `{kept}'", errno="No such file or directory")
        number = None
    if number is None:
        xl.fail(f"Unknown device {name}.")
    if not _remove(xl, device):
        _remove(xl, device, force=True)  # libxl does so by itself for everything but a disk
    return 0


def _added(xl: Invocation, what: str, add: Callable[[], None]) -> int:
    try:
        add()
    except LibxlError:
        xl.log("libxl_device.c:1486:device_addrm_aocomplete", "unable to add device")
        xl.fail(f"libxl_device_{what}_add failed.")
    return 0


def _domain(xl: Invocation, domid: int) -> Domain:
    domain = xl.domain(domid)
    if domain is None:
        xl.no_domain_type(domid)
        raise LibxlError(-3)
    if domid == 0:
        raise NotSimulated("a device of dom0's")
    return domain


def _add_disk(xl: Invocation, disk: DiskSpec, domid: int) -> None:
    domain = _domain(xl, domid)
    try:
        devices.disk_backend(xl.world, disk, domain.type)
    except BackendError as error:
        xl.log(error.where, str(error))
        raise LibxlError(-6) from None
    try:
        device = Device("vbd", vdev_number(disk.vdev), domid)
    except VdevError as error:
        for where in ("214:libxl__device_from_disk", "335:device_disk_add"):
            xl.log(f"libxl_disk.c:{where}", str(error), domid)
        raise LibxlError(-6) from None
    if xl.world.store.read(devices.kept_path(device)) is not None:
        xl.log("libxl_disk.c:343:device_disk_add", "device already exists in xenstore", domid)
        raise LibxlError(-17)
    _start(xl, devices.lay_out_disk(xl.world, disk, device.id, domid, domain.type))
    config = xl.world.configs[domid]
    disks = _put(config.disks, disk, lambda kept: kept.vdev == disk.vdev)
    xl.world.configs[domid] = replace(config, disks=disks)


def _add_vif(xl: Invocation, vif: Vif, domid: int) -> None:
    _domain(xl, domid)
    if vif.type == "vif_ioemu":
        where = "libxl_nic.c:107:libxl__device_nic_setdefault"
        xl.log(where, "trying to create PV or PVH guest with an emulated interface", domid)
        raise LibxlError(-6)
    there = [int(number) for number in xl.world.store.names(f"/libxl/{domid}/device/vif") or []]
    vif = replace(
        vif,
        devid=max(there, default=-1) + 1 if vif.devid < 0 else vif.devid,
        mac=vif.mac or xl.world.new_mac(),
        type="vif",
    )
    if vif.devid in there:
        raise NotSimulated(f"a second network interface {vif.devid}")
    _start(xl, devices.lay_out_vif(xl.world, vif, domid))
    if _has_booted(xl, domid):
        try:
            xl.world.net.attach(xl.world.store, domid, vif.devid)
        except HotplugError as error:
            raise NotSimulated(f"xl network-attach whose script fails ({error})") from None
    config = xl.world.configs[domid]
    vifs = _put(config.vifs, vif, lambda kept: kept.devid == vif.devid)
    xl.world.configs[domid] = replace(config, vifs=vifs)


def _has_booted(xl: Invocation, domid: int) -> bool:
    """Does the guest look after its devices? One that still boots finds its vifs when it has."""
    guest = _domain(xl, domid).load
    return isinstance(guest, Guest) and guest.state.booted


def _start(xl: Invocation, device: Device) -> None:
    devices.start(xl.world, device, pause=lambda: xl.world.pass_time(STEP_SECONDS))


def _put(kept: tuple[T, ...], new: T, same: Callable[[T], bool]) -> tuple[T, ...]:
    """libxl keeps what it knows of a device when that is detached; one of the same name takes its place."""
    if not any(map(same, kept)):
        return (*kept, new)
    return tuple(new if same(old) else old for old in kept)


def _with_mac(xl: Invocation, domid: int, mac: str) -> int | None:
    """The number of the interface of that address (libxl_mac_to_device_nic)."""
    folder = f"/libxl/{domid}/device/vif"
    for number in xl.world.store.names(folder) or []:
        if xl.world.store.read(f"{folder}/{number}/mac") == mac.lower():
            return int(number)
    return None


def _remove(xl: Invocation, device: Device, force: bool = False) -> bool:
    """Ask both halves to close, and wait; False if they have not within ten seconds.

    With `force` the frontend's folder goes first, and then the backend closes whatever the guest does.
    """
    world, back = xl.world, device.backend_path
    closed = str(int(XenbusState.CLOSED))
    with world.store.transaction():
        if force:
            world.store.remove(device.frontend_path)
        world.store.write(f"{back}/online", "0")
        if world.store.read(f"{back}/state") != closed:
            world.store.write(f"{back}/state", str(int(XenbusState.CLOSING)))
    if not world.pass_time_until(lambda: world.store.read(f"{back}/state") == closed, WAIT_SECONDS):
        return False
    world.pass_time(SCRIPT_SECONDS)
    if device.kind == "vif":
        world.net.detach(device.frontend, device.id)
    devices.remove(world, device)
    return True
