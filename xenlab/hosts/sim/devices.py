"""A domain's virtual disks and network interfaces, as they appear in xenstore.

libxl writes the two halves of each device, dom0's backend and the guest's frontend; when the guest has
booted, both have gone through the handshake and are in state 4, XenbusStateConnected (public/io/xenbus.h).
"""

from __future__ import annotations

import re
from dataclasses import replace

from xenlab.hosts.sim.domconfig import Disk, DomainConfig
from xenlab.hosts.sim.libxl_log import ERROR_FAIL, ERROR_INVAL, LibxlError, Log, libxl_log
from xenlab.hosts.sim.process import NotSimulated
from xenlab.hosts.sim.world import World

INITIALISING, CONNECTED = "1", "4"
DEFAULT_MTU = 1500
# What Linux 6.1's netback and netfront announce (drivers/net/xen-netback/xenbus.c, drivers/net/xen-netfront.c).
NETBACK_FEATURES = {
    "feature-sg": "1",
    "feature-gso-tcpv4": "1",
    "feature-gso-tcpv6": "1",
    "feature-ipv6-csum-offload": "1",
    "feature-rx-copy": "1",
    "feature-xdp-headroom": "1",
    "feature-rx-flip": "0",
    "feature-multicast-control": "1",
    "feature-dynamic-multicast-control": "1",
    "feature-split-event-channels": "1",
}
NETFRONT_FEATURES = {
    "request-rx-copy": "1",
    "feature-rx-notify": "1",
    "feature-sg": "1",
    "feature-gso-tcpv4": "1",
    "feature-gso-tcpv6": "1",
    "feature-ipv6-csum-offload": "1",
}


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
                text = f"Invalid or unsupported virtual disk identifier {disk.vdev}"
                libxl_log(log, f"libxl_disk.c:{where}", text, domid)
            libxl_log(log, "libxl_create.c:1672:domcreate_launch_dm", "unable to add disk devices", domid)
            raise LibxlError(ERROR_FAIL)
        _add_disk(world, config, disk, domid, number)


def _add_disk(world: World, config: DomainConfig, disk: Disk, domid: int, number: int) -> None:
    kind = disk.backend or ("phy" if disk.format == "raw" else "qdisk")
    if kind != "phy":
        raise NotSimulated(f"a disk with the backend {kind}")
    params = disk.target or ""
    back = {"params": params, "script": f"/etc/xen/scripts/{disk.script or 'block'}"}
    device_type = "cdrom" if disk.cdrom else "disk"
    discard = disk.readwrite if disk.discard is None else disk.discard
    back |= {
        "frontend-id": str(domid),
        "online": "1",
        "removable": str(int(disk.cdrom)),
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
        "trusted": str(int(disk.trusted is not False)),
    }
    if config.type == "pv":
        front["protocol"] = "x86_64-abi"
    _attach_loop(world, _write_device(world, domid, "vbd", number, back, front))


def _attach_loop(world: World, backend: str) -> None:
    """What blkback and the script ``block`` write once there is a loop device for the file."""
    written = {
        "feature-max-indirect-segments": "256",
        "multi-queue-max-queues": str(world.spec.dom0_vcpus),
        "max-ring-page-order": "4",
    }
    loop = world.next_loop()
    device = f"/dev/loop{loop}"
    written |= {"node": device, "physical-device": f"7:{loop:x}", "physical-device-path": device}
    written["hotplug-status"] = "connected"
    for key, value in written.items():
        world.store.write(f"{backend}/{key}", value)


def add_vifs(world: World, config: DomainConfig, domid: int) -> None:
    """Write the network interfaces into xenstore."""
    for vif in config.vifs:
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
        backend = _write_device(world, domid, "vif", vif.devid, back, front)
        world.store.make(f"/local/domain/{domid}/device/vif/{vif.devid}/mtu", ("n0", f"r{domid}"))
        world.store.write(f"{backend}/hotplug-status", "connected")
        for key, value in NETBACK_FEATURES.items():
            world.store.write(f"{backend}/{key}", value)
        world.store.write(f"{backend}/multi-queue-max-queues", str(world.spec.dom0_vcpus))
        world.store.write(f"{backend}/feature-ctrl-ring", "1")


def _write_device(
    world: World,
    domid: int,
    kind: str,
    number: int,
    back: dict[str, str],
    front: dict[str, str],
) -> str:
    """Write both halves of a device, and libxl's own copy; the backend's path."""
    frontend = f"/local/domain/{domid}/device/{kind}/{number}"
    backend = f"/local/domain/0/backend/{kind}/{domid}/{number}"
    kept = f"/libxl/{domid}/device/{kind}/{number}"
    for path, value in {"frontend": frontend, "backend": backend, **back}.items():
        world.store.write(f"{kept}/{path}", value)
    world.store.make(frontend, (f"n{domid}", "r0"))
    for path, value in {"backend": backend, **front}.items():
        world.store.write(f"{frontend}/{path}", value)
    world.store.make(backend, ("n0", f"r{domid}"))
    for path, value in {"frontend": frontend, **back}.items():
        world.store.write(f"{backend}/{path}", value)
    return backend


def connect(world: World, domid: int) -> None:
    """What the drivers at both ends write while the guest boots: rings, event channels, features, state 4."""
    store, home = world.store, f"/local/domain/{domid}/device"
    event_channel = 8  # the first that a guest of one vCPU has left
    for index, number in enumerate(store.names(f"{home}/vbd") or []):
        front = f"{home}/vbd/{number}"
        keys = {"ring-ref": str(8 + index), "event-channel": str(event_channel), "feature-persistent": "1"}
        event_channel += 1
        _connect(world, front, keys, _blkback_features(world, store.read(f"{front}/backend") or ""))
    for index, number in enumerate(store.names(f"{home}/vif") or []):
        ring = 520 + 514 * index
        keys = {"xdp-headroom": "0", "multi-queue-num-queues": "1"}
        keys |= {"tx-ring-ref": str(ring), "rx-ring-ref": str(ring + 1)}
        keys |= {"event-channel-tx": str(event_channel), "event-channel-rx": str(event_channel + 1)}
        event_channel += 2
        _connect(world, f"{home}/vif/{number}", keys | NETFRONT_FEATURES, {})


def _connect(world: World, front: str, front_keys: dict[str, str], back_keys: dict[str, str]) -> None:
    backend = world.store.read(f"{front}/backend")
    for path, keys in ((front, front_keys), (backend, back_keys)):
        for key, value in {**keys, "state": CONNECTED}.items():
            world.store.write(f"{path}/{key}", value)


def _blkback_features(world: World, backend: str) -> dict[str, str]:
    writable = world.store.read(f"{backend}/mode") == "w"
    path = world.store.read(f"{backend}/params") or ""
    keys = {"feature-flush-cache": str(int(writable))}
    if world.store.read(f"{backend}/discard-enable") == "1":
        keys |= {"discard-granularity": "4096", "discard-alignment": "0", "discard-secure": "0"}
        keys["feature-discard"] = "1"
    keys |= {"feature-barrier": str(int(writable)), "feature-persistent": "1"}
    keys["sectors"] = str(len(world.files.read(path)) // 512 if world.files.is_file(path) else 0)
    return keys | {"info": "0" if writable else "4", "sector-size": "512", "physical-sector-size": "512"}


def remove_all(world: World, domid: int) -> None:
    """Take the backends of a domain's devices out of xenstore."""
    backends = "/local/domain/0/backend"
    for kind in world.store.names(backends) or []:
        world.store.remove(f"{backends}/{kind}/{domid}")
        if not world.store.names(f"{backends}/{kind}"):
            world.store.remove(f"{backends}/{kind}")
    if not world.store.names(backends):
        world.store.remove(backends)
