"""xl cpupool-list, -create, -destroy, -rename, -cpu-add, -cpu-remove, -migrate (xl_cpupool.c, libxl_cpupool.c)."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from posixpath import basename

from xenlab.hosts.sim.cpu import Pool
from xenlab.hosts.sim.machine import new_parameters
from xenlab.hosts.sim.process import NotSimulated
from xenlab.hosts.sim.world import World
from xenlab.hosts.sim.xl.invocation import Invocation
from xenlab.hosts.sim.xl.usage import help_on
from xenlab.hosts.sim.xl.vcpu import BadRangeError, parse_cpus
from xenlab.hosts.sim.xlcfg import Config, ConfigSyntaxError, parse_config

SCHEDULERS = ("credit", "credit2")
OTHER_SCHEDULERS = ("sedf", "arinc653", "rtds", "null")
BUSY = "Device or resource busy"


def pool_name(world: World, number: int) -> str:
    """The cpupool's name, which is in xenstore."""
    return world.store.read(f"/local/pool/{number}/name") or ""


def find_pool(xl: Invocation, qualifier: str) -> int:
    """The number of the cpupool that a name or number stands for; ends xl if there is none."""
    number = _number_of(xl, qualifier)
    if re.fullmatch(r"\d+", qualifier) and int(qualifier) in xl.machine.pools:
        number = int(qualifier)
    if number is None:
        xl.fail(f"unknown cpupool '{qualifier}'")
    return number


def _number_of(xl: Invocation, name: str) -> int | None:
    return next((number for number in xl.machine.pools if pool_name(xl.world, number) == name), None)


def list_(xl: Invocation) -> int:
    """``xl cpupool-list``."""
    options, operands = xl.options("cpupool-list", "c", {"cpus": "c"})
    wanted = None
    if operands:
        wanted = _number_of(xl, operands[0])
        if wanted is None:
            xl.fail(f"Pool '{operands[0]}' does not exist")
    xl.out(f"{'Name':<19}" + ("CPU list\n" if options else "CPUs   Sched     Active   Domain count\n"))
    for number, pool in xl.machine.pools.items():
        if wanted in (None, number):
            row = ",".join(map(str, sorted(pool.cpus)))
            if not options:
                count = sum(domain.pool == number for domain in xl.machine.domains.values())
                row = f"{len(pool.cpus):3d} {pool.scheduler:>9}       y       {count:4d}"
            xl.out(f"{pool_name(xl.world, number):<19}{row}\n")
    return 0


def create(xl: Invocation) -> int:
    """``xl cpupool-create [FILE] [KEY=VALUE ...]``."""
    options, operands = xl.options("cpupool-create", "nf:", {"defconfig": "f", "dryrun": "n"})
    path = dict(options).get("f")
    settings = ""
    for operand in operands:
        if "=" in operand:
            settings += f"\n{operand}"
        elif path is None:
            path = operand
        else:
            xl.out(help_on("cpupool-create"))
            return 1
    config = _read(xl, path, settings)
    name = config.string("name") or (basename(path) if path else None)
    if name is None:
        xl.fail("Missing cpupool name!")
    if _number_of(xl, name) is not None:
        xl.fail(f'Pool name "{name}" already exists')
    scheduler = config.string("sched") or xl.world.spec.scheduler
    if scheduler in OTHER_SCHEDULERS:
        raise NotSimulated(f"the scheduler {scheduler}")
    if scheduler not in SCHEDULERS:
        xl.fail("Unknown scheduler")
    cpus = _cpus(xl, config)
    xl.out(f'Using config file "{path or "command line"}"\ncpupool name:   {name}\n')
    xl.out(f"scheduler:      {scheduler}\nnumber of cpus: {len(cpus)}\n")
    if not (xl.dry_run or "n" in dict(options)):
        number = next(number for number in itertools.count(1) if number not in xl.machine.pools)
        xl.machine.set_pool(number, Pool(cpus, new_parameters(scheduler)))
        xl.world.store.write(f"/local/pool/{number}/uuid", xl.world.new_uuid())
        xl.world.store.write(f"/local/pool/{number}/name", name)
    return 0


def _read(xl: Invocation, path: str | None, settings: str) -> Config:
    text = ""
    if path is not None:
        try:
            text = xl.world.files.read(path).decode("latin-1")
        except OSError as error:
            xl.fail(f"Failed to read config file: {path}: {error.strerror}")
    try:
        return parse_config(f"{text}{settings}\n", path or "command line", lambda line: xl.err(line + "\n"))
    except ConfigSyntaxError:
        xl.fail("Failed to parse config file: Invalid argument")


def _cpus(xl: Invocation, config: Config) -> frozenset[int]:
    if "nodes" in config.settings:
        raise NotSimulated("nodes= of a cpupool")
    listed = config.items("cpus", warn=False)
    if listed is not None:
        chosen = [int(match[0]) if (match := re.match(r"\d+", str(item))) else 0 for item in listed]
    else:
        try:
            chosen = sorted(parse_cpus(config.string("cpus") or "", xl.world.spec.pcpus))
        except BadRangeError as bad:
            xl.fail(str(bad))
    for cpu in chosen:
        if cpu not in xl.machine.free_pcpus:
            xl.fail(f"cpu {cpu} illegal or not free")
    return frozenset(chosen)


def destroy(xl: Invocation) -> int:
    """``xl cpupool-destroy POOL``: its pCPUs are free then."""
    _, operands = xl.options("cpupool-destroy", required=1)
    number = find_pool(xl, operands[0])
    if any(domain.pool == number for domain in xl.machine.domains.values()):
        xl.log("libxl_cpupool.c:219:libxl_cpupool_destroy", "Error removing cpu from cpupool", errno=BUSY)
        xl.fail(f"Can't destroy cpupool '{operands[0]}'")
    xl.machine.set_pool(number, None)
    xl.world.store.remove(f"/local/pool/{number}")
    return 0


def rename(xl: Invocation) -> int:
    """``xl cpupool-rename POOL NAME``."""
    _, operands = xl.options("cpupool-rename", required=2)
    xl.world.store.write(f"/local/pool/{find_pool(xl, operands[0])}/name", operands[1])
    return 0


def cpu_add(xl: Invocation) -> int:
    """``xl cpupool-cpu-add POOL CPUS``: give free pCPUs to a pool."""
    number, cpus = _pool_and_cpus(xl, "cpupool-cpu-add")
    refused = False
    for cpu in cpus:
        if cpu in xl.machine.free_pcpus:
            pool = xl.machine.pools[number]
            xl.machine.set_pool(number, replace(pool, cpus=pool.cpus | {cpu}))
        else:
            where, text = "libxl_cpupool.c:302:libxl_cpupool_cpuadd", f"Error moving cpu {cpu} to cpupool"
            known = cpu in xl.machine.all_pcpus
            xl.log(where, text, errno=BUSY if known else "Invalid argument")
            refused = True
    if refused:
        xl.err(f"some cpus may not have been added to {xl.arguments[0]}\n")
    return 0


def cpu_remove(xl: Invocation) -> int:
    """``xl cpupool-cpu-remove POOL CPUS``: take pCPUs from a pool, but not the last from its domains."""
    number, cpus = _pool_and_cpus(xl, "cpupool-cpu-remove")
    refused = False
    for cpu in cpus:
        pool = xl.machine.pools[number]
        used = any(domain.pool == number for domain in xl.machine.domains.values())
        if cpu in pool.cpus and (len(pool.cpus) > 1 or not used):
            xl.machine.set_pool(number, replace(pool, cpus=pool.cpus - {cpu}))
        else:
            where = "libxl_cpupool.c:365:libxl_cpupool_cpuremove"
            problem = BUSY if cpu in pool.cpus else "Invalid argument"
            xl.log(where, f"Error removing cpu {cpu} from cpupool", errno=problem)
            refused = True
    if refused:
        name = xl.arguments[0]
        xl.err(f"Some cpus may have not or only partially been removed from '{name}'.\n")
        xl.err(f"If a cpu can't be added to another cpupool, add it to '{name}' again and retry.\n")
    return 0


def _pool_and_cpus(xl: Invocation, command: str) -> tuple[int, list[int]]:
    _, operands = xl.options(command, required=2)
    try:
        cpus = sorted(parse_cpus(operands[1], xl.world.spec.pcpus))
    except BadRangeError as bad:
        xl.fail(str(bad))
    return find_pool(xl, operands[0]), cpus


def migrate(xl: Invocation) -> int:
    """``xl cpupool-migrate DOMAIN POOL``."""
    _, operands = xl.options("cpupool-migrate", required=2)
    name = operands[0]
    domain = xl.world.domain_named(name) or (xl.domain(int(name)) if name.isdecimal() else None)
    if domain is None:
        xl.fail(f"unknown domain '{name}'")
    number = find_pool(xl, operands[1])
    problem = None
    if domain.domid == 0 and number:
        problem = "Invalid argument"
    elif not xl.machine.pools[number].cpus:
        problem = "No such file or directory"
    if problem:
        where = "libxl_cpupool.c:437:libxl_cpupool_movedomain"
        xl.log(where, "Error moving domain to cpupool", domain.domid, problem)
        return 1
    if domain.pool != number:
        xl.machine.move(domain, number)
    return 0
