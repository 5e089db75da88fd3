"""What libxl does for xl: build and destroy domains, in the hypervisor and in xenstore, with its messages.

Sources: libxl_create.c (initiate_domain_create, libxl__domain_make), libxl_dom.c (libxl__build_pre, _post),
libxl_domain.c. None of these functions lets time pass; the callers do.
"""

from __future__ import annotations

from dataclasses import replace

from xenlab.hosts.sim import devices, events
from xenlab.hosts.sim.domconfig import INVALID_DOMID, DomainConfig
from xenlab.hosts.sim.guest import Guest, GuestState
from xenlab.hosts.sim.libxl_log import ERROR_FAIL, ERROR_INVAL, LibxlError, Log, libxl_log, xc_panic
from xenlab.hosts.sim.machine import CONSOLE_PAGE, XENSTORE_PAGE, Domain, OutOfMemoryError
from xenlab.hosts.sim.process import NotSimulated
from xenlab.hosts.sim.tinyguest import TinyGuest
from xenlab.hosts.sim.world import World
from xenlab.paravirt.kernel import is_tiny

DEFAULT_MEMORY_KB = 32 * 1024  # libxl__domain_build_info_setdefault
MAXMEM_SLACK_KB = 1024  # LIBXL_MAXMEM_CONSTANT: what a domain may have above its target


def lay_out_dom0(world: World) -> None:
    """Put into a new world's xenstore what xen-init-dom0 and the daemons write."""
    store = world.store
    events.add_dom0(world)
    store.make("/tool/xenstored")
    for feature in ("poweroff", "reboot", "suspend"):
        store.write(f"/local/domain/0/control/feature-{feature}", "1")
    store.write("/local/domain/0/domid", "0")
    store.write("/local/domain/0/name", "Domain-0")
    store.write("/local/pool/0/name", "Pool-0")


def fill_dom0_memory(world: World) -> None:
    """Write dom0's memory into xenstore when it is first asked for (libxl__fill_dom0_memory_info)."""
    if world.store.read("/local/domain/0/memory/target") is None:
        for key in ("target", "static-max"):
            world.store.write(f"/local/domain/0/memory/{key}", str(world.machine.domains[0].memory_kb))


def create_domain(world: World, config: DomainConfig, log: Log, state: GuestState | None = None) -> Domain:
    """Create the domain, paused. With `state`, its guest goes on from there (a restore) instead of booting.

    Raises `LibxlError` after taking down what had been made.
    """
    asked, config = config, _with_defaults(config)
    if config.domid not in (None, INVALID_DOMID):
        raise NotSimulated("a domain that asks for its id")
    if config.pool not in (None, "Pool-0", "0"):
        text = f"Illegal pool specified: {config.pool}"
        libxl_log(log, "libxl_create.c:1134:libxl__domain_config_setdefault", text)
        raise LibxlError(ERROR_INVAL)
    domain = world.machine.create_domain(config.uuid, config.type, config.max_vcpus)
    events.add_domain(world, domain.domid)
    try:
        _make(world, config, domain, log)
        config = devices.set_defaults(world, config, domain.domid, log)
        _build(world, config, domain, log, restored=state is not None)
        devices.add_disks(world, config, domain.domid, log)
    except LibxlError:
        destroy_domain(world, domain)
        raise LibxlError(ERROR_FAIL) from None
    _add_console(world, domain, config)
    devices.add_vifs(world, config, domain.domid)
    disks = tuple(replace(disk, colo_restore=False) for disk in config.disks)
    kept = replace(asked, stored=True, domid=INVALID_DOMID, disks=disks, vifs=config.vifs)
    world.configs[domain.domid] = kept
    kernel = world.files.read(config.kernel) if config.kernel and state is None else b""
    if is_tiny(kernel):
        TinyGuest(world, domain, config.name, kernel)
    else:
        Guest(world, domain, config.name, config.cmdline or "", state)
    return domain


def destroy_domain(world: World, domain: Domain) -> None:
    """Take the domain out of the hypervisor and of xenstore."""
    domid = domain.domid
    if isinstance(domain.load, Guest | TinyGuest):
        domain.load.end()
    vm = world.store.read(f"/local/domain/{domid}/vm")
    devices.remove_all(world, domid)
    if vm:
        world.store.remove(vm)
    world.store.remove(f"/local/domain/{domid}")
    world.store.remove(f"/libxl/{domid}")
    world.configs.pop(domid, None)
    events.remove_domain(world, domid)
    world.machine.destroy_domain(domain)


def log_no_such_domain(log: Log, domid: int) -> None:
    """What libxl_domain_destroy says about a domain that is not there."""
    for where, text in (
        ("1183:libxl__destroy_domid", "Non-existant domain"),
        ("1137:domain_destroy_callback", "Unable to destroy guest"),
        ("1064:domain_destroy_cb", "Destruction of domain failed"),
    ):
        libxl_log(log, f"libxl_domain.c:{where}", text, domid)


def rename_domain(world: World, domain: Domain, name: str, log: Log) -> None:
    """Give the domain a name that no other has."""
    domid = domain.domid
    other = world.domain_named(name) if name else None
    if other is not None and other is not domain:
        libxl_log(
            log,
            "libxl_domain.c:81:libxl__domain_rename",
            f'Domain with name "{name}" already exists.',
            domid,
        )
        raise LibxlError(ERROR_INVAL)
    world.store.write(f"/local/domain/{domid}/name", name)
    world.store.write(f"/vm/{domain.uuid}/name", name)


def set_scheduling(world: World, domain: Domain, weight: int | None, cap: int | None, log: Log) -> None:
    """Set the domain's weight and cap; None leaves one as it is."""
    scheduler = world.machine.pool_of(domain).scheduler
    where = f"sched_{scheduler}_domain_set"
    lines = (238, 248) if scheduler == "credit" else (445, 455)
    if weight is not None and not 1 <= weight <= 65535:
        text = "Cpu weight out of range, valid values are within range from 1 to 65535"
        libxl_log(log, f"libxl_sched.c:{lines[0]}:{where}", text, domain.domid)
        raise LibxlError(ERROR_INVAL)
    limit = 100 * len(domain.vcpus)
    if cap is not None and not 0 <= cap <= limit:
        text = f"Cpu cap out of range, valid range is from 0 to {limit} for specified number of vcpus"
        libxl_log(log, f"libxl_sched.c:{lines[1]}:{where}", text, domain.domid)
        raise LibxlError(ERROR_INVAL)
    world.machine.account()
    domain.weight = domain.weight if weight is None else weight
    domain.cap = domain.cap if cap is None else cap


def set_affinity(
    world: World,
    domain: Domain,
    vcpu: int,
    hard: frozenset[int] | None,
    soft: frozenset[int] | None,
    log: Log,
) -> None:
    """Set where a vCPU may run (hard) and where it runs best (soft); None leaves one as it is."""
    pcpus = world.machine.all_pcpus
    problem = None
    if vcpu >= len(domain.vcpus) or (hard is not None and not hard & pcpus):
        problem = "Invalid argument"
    if problem:
        libxl_log(
            log, "libxl_sched.c:62:libxl__set_vcpuaffinity", "Setting vcpu affinity", domain.domid, problem
        )
        raise LibxlError(ERROR_FAIL)
    world.machine.account()
    if hard is not None:
        domain.vcpus[vcpu].hard_affinity = hard & pcpus
    if soft is not None:
        domain.vcpus[vcpu].soft_affinity = soft & pcpus
        if not soft & pcpus & domain.vcpus[vcpu].hard_affinity:
            libxl_log(
                log,
                "libxl_sched.c:84:libxl__set_vcpuaffinity",
                f"All cpus in soft affinity of vcpu {vcpu} are unreachable."
                " Only hard affinity will be considered for scheduling",
                domain.domid,
                level="warning",
            )


def _with_defaults(config: DomainConfig) -> DomainConfig:
    most = config.max_memory_kb or config.memory_kb or DEFAULT_MEMORY_KB
    return replace(
        config,
        max_vcpus=config.max_vcpus or 1,
        online_vcpus=(0,) if config.online_vcpus is None else config.online_vcpus,
        max_memory_kb=most,
        memory_kb=config.memory_kb or most,
    )


def _make(world: World, config: DomainConfig, domain: Domain, log: Log) -> None:
    """libxl__domain_make: the domain's places in xenstore."""
    store, domid = world.store, domain.domid
    home, vm = f"/local/domain/{domid}", f"/vm/{domain.uuid}"
    readable, writable = ("n0", f"r{domid}"), (f"n{domid}",)
    store.make(home, readable)
    store.make(vm, readable)
    store.make(f"/libxl/{domid}", ("n0",))
    store.make(f"/libxl/{domid}/device", ("n0",))
    store.write(f"{home}/vm", vm)
    try:
        rename_domain(world, domain, config.name, log)
    except LibxlError as error:
        libxl_log(
            log,
            "libxl_create.c:1296:initiate_domain_create",
            f"cannot make domain: {error.rc}",
            domid,
        )
        raise
    for path in ("cpu", "memory", "device"):
        store.make(f"{home}/{path}", readable)
    store.make(f"{home}/device/suspend/event-channel", writable)
    store.make(f"{home}/control", readable)
    for path in ("shutdown", "feature-poweroff", "feature-reboot", "feature-suspend", "sysrq"):
        store.make(f"{home}/control/{path}", writable)
    for path in ("data", "drivers", "feature", "attr", "error"):
        store.make(f"{home}/{path}", writable)
    store.write(f"{vm}/uuid", domain.uuid)
    for feature in ("multiprocessor-suspend", "xs_reset_watches"):
        store.write(f"{home}/control/platform-feature-{feature}", "1")
    store.write(f"/libxl/{domid}/type", config.type)
    store.write(f"/libxl/{domid}/dm-version", "qemu_xen")


def _build(world: World, config: DomainConfig, domain: Domain, log: Log, restored: bool) -> None:
    """libxl__domain_build: affinities, memory, the kernel, and the domain's settings in xenstore."""
    try:
        _place(world, config, log)
        for vcpu in range(max(len(config.hard_affinity), len(config.soft_affinity))):
            hard = config.hard_affinity[vcpu] if vcpu < len(config.hard_affinity) else None
            soft = config.soft_affinity[vcpu] if vcpu < len(config.soft_affinity) else None
            try:
                set_affinity(world, domain, vcpu, hard, soft, log)
            except LibxlError:
                libxl_log(
                    log, "libxl_dom.c:350:libxl__build_pre", f"setting affinity failed on vcpu `{vcpu}'"
                )
                raise
        if not restored:
            _check_files(world, config, log)
        _populate(world, config, domain, log)
        set_scheduling(world, domain, config.weight, config.cap, log)
    except LibxlError as error:
        libxl_log(
            log,
            "libxl_create.c:1640:domcreate_rebuild_done",
            f"cannot (re-)build domain: {error.rc}",
            domain.domid,
        )
        raise LibxlError(ERROR_FAIL) from error
    _announce(world, config, domain, restored)


def _place(world: World, config: DomainConfig, log: Log) -> None:
    """numa_place_domain, on a machine of one node."""
    automatic = config.numa_placement is not False
    if automatic and config.hard_affinity and not config.hard_affinity[0] & world.machine.all_pcpus:
        text = "Hard affinity completely outside of domain's cpupool!"
        libxl_log(log, "libxl_dom.c:190:numa_place_domain", text)
        raise LibxlError(ERROR_INVAL)


def _check_files(world: World, config: DomainConfig, log: Log) -> None:
    lines = (646, 659) if config.type == "pv" else (874, 926)
    build = "libxl__build_pv" if config.type == "pv" else "libxl__domain_firmware"
    for path, line, what in ((config.kernel, lines[0], "kernel"), (config.ramdisk, lines[1], "ramdisk")):
        if path and not world.files.is_file(path):
            problem = f"failed to open file '{path}': No such file or directory: Internal error"
            xc_panic(log, "xg_dom_core.c:205", problem)
            libxl_log(
                log,
                f"libxl_dom.c:{line}:{build}",
                f"xc_dom_{what}_file failed",
                errno="No such file or directory",
            )
            raise LibxlError(ERROR_FAIL)


def _populate(world: World, config: DomainConfig, domain: Domain, log: Log) -> None:
    memory_kb = config.memory_kb or 0
    try:
        world.machine.populate(domain, memory_kb, config.max_memory_kb or 0)
    except OutOfMemoryError:
        problem = "xc_dom_boot_mem_init: can't allocate low memory for domain: Out of memory"
        xc_panic(log, "xg_dom_boot.c:119", problem)
        libxl_log(
            log,
            "libxl_dom.c:586:libxl__build_dom",
            "xc_dom_boot_mem_init failed",
            errno="Cannot allocate memory",
        )
        raise LibxlError(ERROR_FAIL) from None
    domain.max_memory_kb = memory_kb + MAXMEM_SLACK_KB


def _announce(world: World, config: DomainConfig, domain: Domain, restored: bool) -> None:
    """libxl__build_post: what the guest and the tools find in xenstore."""
    home, vm = f"/local/domain/{domain.domid}", f"/vm/{domain.uuid}"
    settings = {
        "memory/static-max": str(config.max_memory_kb),
        "memory/target": str(config.memory_kb),
        "memory/videoram": "0",
        "domid": str(domain.domid),
        "store/port": "1",
        "store/ring-ref": str(_special_page(world, domain, XENSTORE_PAGE)),
    }
    for vcpu in range(config.max_vcpus):
        online = vcpu in (config.online_vcpus or ())
        settings[f"cpu/{vcpu}/availability"] = "online" if online else "offline"
    for path, value in settings.items():
        world.store.write(f"{home}/{path}", value)
    started = f"{world.now.timestamp():.2f}"
    image = {"image/ostype": "linux"} if config.type == "pv" else {}
    boots = config.type == "pv" and not restored
    image |= {"image/kernel": config.kernel} if boots and config.kernel else {}
    image["start_time"] = started
    image |= {"image/ramdisk": config.ramdisk} if boots and config.ramdisk else {}
    image |= {"image/cmdline": config.cmdline} if boots and config.cmdline else {}
    for path, value in image.items():
        world.store.write(f"{vm}/{path}", value)


def _special_page(world: World, domain: Domain, number: int) -> int:
    """The number of a page that guest and dom0 share: fixed for PVH (below 0xff000), a frame's for PV."""
    if domain.type == "pvh":
        return {XENSTORE_PAGE: 0xFEFFC, CONSOLE_PAGE: 0xFEFFF}[number]
    return world.machine.memory.frame_of(domain.domid, world.machine.behind_the_kernel(domain, number)) or 0


def _add_console(world: World, domain: Domain, config: DomainConfig) -> None:
    """libxl__device_console_add: the primary console, whose other end is xenconsoled in dom0."""
    store, domid = world.store, domain.domid
    front = f"/local/domain/{domid}/console"
    back = f"/local/domain/0/backend/console/{domid}/0"
    backend = {"frontend": front, "frontend-id": str(domid), "online": "1", "state": "1", "protocol": "vt100"}
    kept = {"frontend": front, "backend": back, **{key: backend[key] for key in list(backend)[1:]}}
    for path, value in kept.items():
        store.write(f"/libxl/{domid}/device/console/0/{path}", value)
    store.make(front, ("n0", f"r{domid}"))
    frontend = {
        "backend": back,
        "backend-id": "0",
        "limit": "1048576",
        "type": "xenconsoled",
        "output": "pty",
    }
    frontend |= {
        "tty": f"/dev/pts/{domid}",
        "port": "2",
        "ring-ref": str(_special_page(world, domain, CONSOLE_PAGE)),
    }
    for path, value in frontend.items():
        store.write(f"{front}/{path}", value)
    store.make(f"{front}/backend-id", (f"n{domid}", "r0"))
    store.make(back, ("n0", f"r{domid}"))
    for path, value in backend.items():
        store.write(f"{back}/{path}", value)
