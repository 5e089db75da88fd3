"""A domain's configuration as it is now (libxl_retrieve_domain_configuration)."""

from __future__ import annotations

from dataclasses import replace

from xenlab.hosts.sim.domconfig import DomainConfig
from xenlab.hosts.sim.machine import Domain
from xenlab.hosts.sim.toolstack import fill_dom0_memory
from xenlab.hosts.sim.world import World


def retrieve_config(world: World, domain: Domain) -> DomainConfig:
    """What the domain was created from, brought up to date with its name, vCPUs, memory and scheduling."""
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
        config,
        name=world.name_of(domain.domid) or "",
        online_vcpus=tuple(online) if config.max_vcpus else None,
        memory_kb=int(world.store.read(f"{home}/memory/target") or 0),
        max_memory_kb=int(world.store.read(f"{home}/memory/static-max") or 0),
        scheduler=world.spec.scheduler,
        weight=domain.weight,
        cap=domain.cap,
    )


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
