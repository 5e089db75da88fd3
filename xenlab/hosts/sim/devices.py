"""A domain's virtual disks and network interfaces, as they appear in xenstore.

libxl writes the two halves of each device, dom0's backend and the guest's frontend; when the guest has
booted, both have gone through the handshake and are in state 4, XenbusStateConnected (public/io/xenbus.h).
"""

from __future__ import annotations

import re
from dataclasses import replace

from xenlab.hosts.sim.domconfig import Disk, DomainConfig
from xenlab.hosts.sim.libxl_log import ERROR_FAIL, ERROR_INVAL, LibxlError, Log, libxl_log
from xenlab.hosts.sim.world import World

INITIALISING, INIT_WAIT, CONNECTED = "1", "2", "4"


def disk_number(vdev: str) -> int | None:
    """The number by which Xen knows a virtual disk (libxl__device_disk_dev_number); None if the name is not
    valid.

    >>> disk_number("xvda"), disk_number("xvdb1"), disk_number("hdc"), disk_number("floppy")
    (51712, 51729, 5632, None)
    """
    match = re.fullmatch(r"(xvd|hd|sd)([a-z]+)([0-9]*)", vdev)
    if not match:
        return int(vdev) if vdev.isdigit() else None
    kind, letters, partition_text = match.groups()
    disk, partition = 0, int(partition_text or 0)
    for letter in letters:
        disk = disk * 26 + ord(letter) - ord("a") + 1
    disk -= 1
    if kind == "xvd" and disk < 1 << 20 and partition < 256:
        small = disk <= 15 and partition <= 15
        return 202 << 8 | disk << 4 | partition if small else 1 << 28 | disk << 8 | partition
    if kind == "hd" and disk <= 3 and partition <= 63:
        return (3 if disk < 2 else 22) << 8 | (disk & 1) << 6 | partition
    if kind == "sd" and disk <= 15 and partition <= 15:
        return 8 << 8 | disk << 4 | partition
    return None


def set_defaults(world: World, config: DomainConfig, domid: int, log: Log) -> DomainConfig:
    """Choose each disk's backend, number the interfaces and give them addresses; raises `LibxlError`."""
    for index, disk in enumerate(config.disks):
        try:
            _check_disk(world, disk, log)
        except LibxlError:
            libxl_log(
                log,
                "libxl_create.c:1318:initiate_domain_create",
                f"Unable to set disk defaults for disk {index}",
                domid,
            )
            raise
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


def _check_disk(world: World, disk: Disk, log: Log) -> None:
    if disk.format == "empty" and not disk.cdrom:
        libxl_log(
            log,
            "libxl_device.c:439:libxl__device_disk_set_backend",
            f"Disk vdev={disk.vdev} is empty but not cdrom",
        )
        raise LibxlError(ERROR_INVAL)
    looks_at_target = (
        disk.backend in (None, "phy", "standalone") and not disk.script and disk.format != "empty"
    )
    if looks_at_target and not world.files.is_file(disk.target or ""):
        libxl_log(
            log,
            "libxl_device.c:455:libxl__device_disk_set_backend",
            f"Disk vdev={disk.vdev} failed to stat: {disk.target}",
            errno="No such file or directory",
        )
        raise LibxlError(ERROR_INVAL)


def add_disks(world: World, config: DomainConfig, domid: int, log: Log) -> None:
    """Write the disks into xenstore."""
    for disk in config.disks:
        number = disk_number(disk.vdev or "")
        if number is None:
            for where in ("214:libxl__device_from_disk", "335:device_disk_add"):
                libxl_log(
                    log,
                    f"libxl_disk.c:{where}",
                    f"Invalid or unsupported virtual disk identifier {disk.vdev}",
                    domid,
                )
            libxl_log(log, "libxl_create.c:1672:domcreate_launch_dm", "unable to add disk devices", domid)
            raise LibxlError(ERROR_FAIL)
        _add_disk(world, config, disk, domid, number)


def _add_disk(world: World, config: DomainConfig, disk: Disk, domid: int, number: int) -> None:
    kind = disk.backend or ("phy" if disk.format == "raw" else "qdisk")
    params = disk.target or ""
    back = {"params": params if kind == "phy" else f"{disk.format}:{params}"}
    if kind == "phy":
        back["script"] = f"/etc/xen/scripts/{disk.script or 'block'}"
    back |= {
        "frontend-id": str(domid),
        "online": "1",
        "removable": str(int(disk.cdrom)),
        "bootable": "1",
        "state": INITIALISING,
        "dev": disk.vdev or "",
        "type": kind,
        "mode": "w" if disk.readwrite else "r",
        "device-type": "cdrom" if disk.cdrom else "disk",
        "discard-enable": str(int(disk.readwrite if disk.discard is None else disk.discard)),
        "specification": "xen",
    }
    front = {
        "backend-id": "0",
        "state": INITIALISING,
        "virtual-device": str(number),
        "device-type": "cdrom" if disk.cdrom else "disk",
        "trusted": str(int(disk.trusted is not False)),
    }
    if config.type == "pv":
        front["protocol"] = "x86_64-abi"
    kind_of_backend = "vbd" if kind == "phy" else kind
    _write_device(world, domid, "vbd", kind_of_backend, number, back, front)


def add_vifs(world: World, config: DomainConfig, domid: int) -> None:
    """Write the network interfaces into xenstore."""
    for vif in config.vifs:
        back = {"frontend-id": str(domid), "online": "1", "state": INITIALISING}
        back["script"] = f"/etc/xen/scripts/{(vif.script or 'vif-bridge').rpartition('/')[2]}"
        back |= {"vifname": vif.ifname} if vif.ifname else {}
        back["mac"] = vif.mac or ""
        back |= {"ip": vif.ip} if vif.ip else {}
        back |= {"gatewaydev": vif.gatewaydev} if vif.gatewaydev else {}
        back |= {"rate": f"{vif.rate[0]},{vif.rate[1]}"} if vif.rate else {}
        back |= {"mtu": str(vif.mtu)} if vif.mtu not in (0, 1492) else {}
        back |= {
            "bridge": vif.bridge or "xenbr0",
            "handle": str(vif.devid),
            "type": "vif",
            "hotplug-status": "",
        }
        front = {
            "backend-id": "0",
            "state": INITIALISING,
            "handle": str(vif.devid),
            "mac": vif.mac or "",
            "trusted": str(int(vif.trusted is not False)),
            "mtu": str(vif.mtu or 1492),
        }
        _write_device(world, domid, "vif", "vif", vif.devid, back, front)


def _write_device(
    world: World,
    domid: int,
    kind: str,
    backend_kind: str,
    number: int,
    back: dict[str, str],
    front: dict[str, str],
) -> None:
    frontend = f"/local/domain/{domid}/device/{kind}/{number}"
    backend = f"/local/domain/0/backend/{backend_kind}/{domid}/{number}"
    kept = f"/libxl/{domid}/device/{kind}/{number}"
    for path, value in {"frontend": frontend, "backend": backend, **back}.items():
        world.store.write(f"{kept}/{path}", value)
    world.store.make(frontend, (f"n{domid}", "r0"))
    for path, value in {"backend": backend, **front}.items():
        world.store.write(f"{frontend}/{path}", value)
    world.store.make(backend, ("n0", f"r{domid}"))
    for path, value in {"frontend": frontend, **back}.items():
        world.store.write(f"{backend}/{path}", value)


def connect(world: World, domid: int) -> None:
    """What the drivers at both ends write while the guest boots: rings, event channels, state 4."""
    home = f"/local/domain/{domid}/device"
    for kind, rings in (("vbd", ("ring-ref",)), ("vif", ("tx-ring-ref", "rx-ring-ref"))):
        for number in world.store.names(f"{home}/{kind}") or []:
            front = f"{home}/{kind}/{number}"
            for index, ring in enumerate(rings):
                world.store.write(f"{front}/{ring}", str(8 + index))
            world.store.write(f"{front}/event-channel", "15")
            world.store.write(f"{front}/state", CONNECTED)
            world.store.write(f"{world.store.read(f'{front}/backend')}/state", CONNECTED)


def remove_all(world: World, domid: int) -> None:
    """Take the backends of a domain's devices out of xenstore."""
    for kind in world.store.names("/local/domain/0/backend") or []:
        above = f"/local/domain/0/backend/{kind}"
        world.store.remove(f"{above}/{domid}")
        if not world.store.names(above):
            world.store.remove(above)
