"""What the simulated host says of itself: ``xl info`` and ``xl dmesg``, after the box that xenlab builds."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

from xenlab.hosts.sim.world import World

COMPILER = "x86_64-linux-gnu-gcc (Debian 12.2.0-14+deb12u1) 12.2.0"
COMPILED = "Wed Nov  4 16:52:28 UTC 2026"


def host_facts(world: World) -> Iterator[tuple[str, object]]:
    """The labels and values of ``xl info``, in its order."""
    spec, machine = world.spec, world.machine
    yield "host", spec.hostname
    yield "release", spec.kernel_release
    yield "version", spec.kernel_version
    yield "machine", "x86_64"
    yield "nr_cpus", spec.pcpus
    yield "max_cpu_id", spec.pcpus - 1
    yield "nr_nodes", 1
    yield "cores_per_socket", spec.pcpus
    yield "threads_per_core", 1
    yield "cpu_mhz", f"{spec.cpu_khz // 1000}.{spec.cpu_khz % 1000:03d}"
    yield "hw_caps", "178bf3fd:80002001:20100800:00000007:00000000:00000000:00000000:00000000"
    yield "virt_caps", " pv hvm hap gnttab-v1 gnttab-v2"
    yield "total_memory", machine.total_kb // 1024
    yield "free_memory", machine.free_kb // 1024
    for label in ("sharing_freed_memory", "sharing_used_memory", "outstanding_claims"):
        yield label, 0
    yield "free_cpus", len(machine.free_pcpus)
    yield "xen_major", 4
    yield "xen_minor", 17
    yield "xen_extra", ".7"
    yield "xen_version", "4.17.7"
    yield "xen_caps", "xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 "
    yield "xen_scheduler", spec.scheduler
    yield "xen_pagesize", 4096
    yield "platform_params", "virt_start=0xffff800000000000"
    yield "xen_changeset", ""
    yield "xen_commandline", command_line(world)
    yield "cc_compiler", COMPILER
    yield "cc_compile_by", "pkg-xen-devel"
    yield "cc_compile_domain", "lists.alioth.debian.org"
    yield "cc_compile_date", COMPILED
    yield "build_id", "151b373fd64b321593bf987fd923cd10dabadac4"
    yield "xend_config_format", 4


def command_line(world: World) -> str:
    """The words on the hypervisor's command line."""
    spec = world.spec
    memory = f"dom0_mem={spec.dom0_mib}M,max:{spec.dom0_mib}M"
    return f"com1=115200 console=com1 {memory} sched={spec.scheduler} dom0_max_vcpus={spec.dom0_vcpus}"


def boot_log(world: World) -> str:
    """The hypervisor's messages since it started."""
    template = files(__package__).joinpath("dmesg.txt").read_text(encoding="utf-8")
    spec = world.spec
    schedulers = {"credit": "SMP Credit Scheduler", "credit2": "SMP Credit Scheduler rev2"}
    return template.format(
        compiler=COMPILER,
        compiled=COMPILED,
        command_line=command_line(world),
        memory_mb=world.machine.total_kb // 1024,
        memory_kb=world.machine.total_kb,
        mhz=f"{spec.cpu_khz // 1000}.{spec.cpu_khz % 1000:03d}",
        scheduler=schedulers[spec.scheduler],
        scheduler_option=spec.scheduler,
        pcpus=spec.pcpus,
        dom0_vcpus=spec.dom0_vcpus,
    )
