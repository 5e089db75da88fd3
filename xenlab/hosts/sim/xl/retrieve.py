"""A domain's configuration as it is now (libxl_retrieve_domain_configuration)."""

from __future__ import annotations

from dataclasses import replace

from xenlab.hosts.sim.domconfig import DomainConfig
from xenlab.hosts.sim.libxl_log import Log, libxl_log
from xenlab.hosts.sim.machine import Domain
from xenlab.hosts.sim.toolstack import fill_dom0_memory
from xenlab.hosts.sim.world import World
from xenlab.storage.vdev import vdev_number


def retrieve_config(world: World, domain: Domain, log: Log) -> DomainConfig:
    """What the domain was created from, brought up to date with its name, vCPUs, memory, scheduling and devices."""
    if domain.domid == 0:
        return _dom0(world, domain)
    config = world.configs[domain.domid]
    home = f"/local/domain/{domain.domid}"
    online = [
        vcpu
        for vcpu in range(config.max_vcpus)
        if world.store.read(f"{home}/cpu/{vcpu}/availability") == "online"
    ]
    return replace(
        _with_devices_there(world, config, domain.domid, log),
        name=world.name_of(domain.domid) or "",
        online_vcpus=tuple(online) if config.max_vcpus else None,
        memory_kb=int(world.store.read(f"{home}/memory/target") or 0),
        max_memory_kb=int(world.store.read(f"{home}/memory/static-max") or 0),
        scheduler=world.spec.scheduler,
        weight=domain.weight,
        cap=domain.cap,
    )


def _with_devices_there(world: World, config: DomainConfig, domid: int, log: Log) -> DomainConfig:
    """Leave out the devices that have been detached, and say so: libxl does not forget them by itself."""
    folder = f"/libxl/{domid}/device"
    disks, vifs = (set(world.store.names(f"{folder}/{kind}") or []) for kind in ("vbd", "vif"))
    there = replace(
        config,
        disks=tuple(disk for disk in config.disks if str(vdev_number(disk.vdev)) in disks),
        vifs=tuple(vif for vif in config.vifs if str(vif.devid) in vifs),
    )
    gone = len(config.disks) - len(there.disks) + len(config.vifs) - len(there.vifs)
    for _ in range(gone):
        where = "libxl_domain.c:2603:retrieve_domain_configuration_end"
        text = "Device present in JSON but not in xenstore, ignored"
        libxl_log(log, where, text, domid, level="warning")
    return there


def _dom0(world: World, domain: Domain) -> DomainConfig:
    fill_dom0_memory(world)
    memory_kb = int(world.store.read("/local/domain/0/memory/target") or 0)
    return DomainConfig(
        world.name_of(0) or "",
        domain.uuid,
        max_memory_kb=int(world.store.read("/local/domain/0/memory/static-max") or 0),
        memory_kb=memory_kb
        - 1,  # libxl__get_targetmem_fudge takes the default of video_memkb, -1, for a number
        scheduler=world.spec.scheduler,
        weight=domain.weight,
        cap=domain.cap,
        on_reboot="destroy",
        on_soft_reset="destroy",
        bare=True,
    )
