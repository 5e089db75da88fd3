"""xl sched-credit and sched-credit2 (xl_sched.c, libxl_sched.c)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import NoReturn

from xenlab.hosts.sim.libxl_log import ERROR_FAIL, ERROR_INVAL, LibxlError
from xenlab.hosts.sim.toolstack import set_scheduling
from xenlab.hosts.sim.xl.cpupool import find_pool, pool_name
from xenlab.hosts.sim.xl.invocation import Invocation
from xenlab.scheduling.machine import Credit2Parameters, CreditParameters

HEADING = f"{'Name':<33} {'ID':>4} {'Weight':>6} {'Cap':>4}\n"
TSLICE_MS = (1, 1000)  # XEN_SYSCTL_CSCHED_TSLICE_MIN, _MAX
RATELIMIT_US = (100, 500_000)  # XEN_SYSCTL_SCHED_RATELIMIT_MIN, _MAX
MIGRATION_DELAY_MAX_US = 100_000  # XEN_SYSCTL_CSCHED_MGR_DLY_MAX_US


@dataclass(frozen=True)
class Request:
    """What the options of one command ask for; None for an option that was not given."""

    domain: str | None = None
    weight: int | None = None
    cap: int | None = None
    schedparam: bool = False
    tslice: int | None = None
    ratelimit: int | None = None
    migration_delay: int | None = None
    cpupool: str | None = None


def sched_credit(xl: Invocation) -> int:
    """``xl sched-credit``."""
    long = {
        "domain": "d",
        "weight": "w",
        "cap": "c",
        "schedparam": "s",
        "tslice_ms": "t",
        "ratelimit_us": "r",
        "migration_delay_us": "m",
        "cpupool": "p",
    }
    options, _ = xl.options("sched-credit", "d:w:c:p:t:r:m:s", long)
    request = _request(options)
    if (request.cpupool or request.schedparam) and _about_domain(request):
        xl.err("Specifying a cpupool or schedparam is not allowed with domain options.\n")
        return 1
    if request.domain is None and _about_domain(request):
        xl.err("Must specify a domain.\n")
        return 1
    pool_values = (request.tslice, request.ratelimit, request.migration_delay)
    if not request.schedparam and pool_values != (None, None, None):
        xl.err("Must specify schedparam to set schedule parameter values.\n")
        return 1
    return _answer(xl, request, "credit")


def sched_credit2(xl: Invocation) -> int:
    """``xl sched-credit2``."""
    long = {
        "domain": "d",
        "weight": "w",
        "cap": "c",
        "schedparam": "s",
        "ratelimit_us": "r",
        "cpupool": "p",
    }
    options, _ = xl.options("sched-credit2", "d:w:c:p:r:s", long)
    request = _request(options)
    if request.cpupool and _about_domain(request):
        xl.err("Specifying a cpupool is not allowed with other options.\n")
        return 1
    if request.domain is None and _about_domain(request):
        xl.err("Must specify a domain.\n")
        return 1
    return _answer(xl, request, "credit2")


def _request(options: list[tuple[str, str]]) -> Request:
    given = dict(options)

    def number(letter: str) -> int | None:
        return c_int(given[letter]) if letter in given else None

    return Request(
        given.get("d"),
        number("w"),
        number("c"),
        "s" in given,
        number("t"),
        number("r"),
        number("m"),
        given.get("p"),
    )


def c_int(text: str) -> int:
    """What strtol(text, NULL, 10) makes of `text`, kept in an int.

    >>> c_int("512"), c_int("12x"), c_int("much")
    (512, 12, 0)
    """
    match = re.match(r"\s*([+-]?\d+)", text)
    number = int(match[1]) if match else 0
    return (max(-(2**63), min(2**63 - 1, number)) + 2**31) % 2**32 - 2**31


def _about_domain(request: Request) -> bool:
    return request.domain is not None or request.weight is not None or request.cap is not None


def _answer(xl: Invocation, request: Request, scheduler: str) -> int:
    number = None if request.cpupool is None else find_pool(xl, request.cpupool)
    if request.schedparam:
        return _pool(xl, request, number or 0, scheduler)
    if request.domain is None:
        return _print_pools(xl, number, scheduler)
    domid = xl.domid(request.domain)
    if request.weight is None and request.cap is None:
        xl.out(HEADING)
        return _print_domain(xl, domid, scheduler)
    return _set_domain(xl, domid, request, scheduler)


def _print_pools(xl: Invocation, wanted: int | None, scheduler: str) -> int:
    """The pools under this scheduler, each with its domains."""
    for number, pool in xl.machine.pools.items():
        if pool.scheduler == scheduler and wanted in (None, number):
            _print_pool(xl, number, scheduler)
            xl.out(HEADING)
            for domid, domain in xl.machine.domains.items():
                if domain.pool == number:
                    _print_domain(xl, domid, scheduler)
    return 0


def _print_domain(xl: Invocation, domid: int, scheduler: str) -> int:
    domain = xl.domain(domid)
    if domain is None:
        where, problem = "libxl_dom.c:76:libxl__domain_cpupool", "No such file or directory"
        xl.log(where, "getinfolist failed 0", errno=problem)
        xl.log("libxl_sched.c:905:libxl_domain_sched_params_get", "Unknown scheduler", domid)
        xl.err("libxl_domain_sched_params_get failed.\n")
        return 1
    its_own = xl.machine.pool_of(domain).scheduler
    if its_own != scheduler:
        xl.err(f"libxl_domain_sched_params_get returned {its_own} not {scheduler}.\n")
        return 1
    xl.out(f"{xl.name_of(domid):<33} {domid:4d} {domain.weight:6d} {domain.cap:4d}\n")
    return 0


def _set_domain(xl: Invocation, domid: int, request: Request, scheduler: str) -> int:
    domain = xl.domain(domid)
    try:
        if domain is None:
            raise LibxlError(ERROR_INVAL)
        if xl.machine.pool_of(domain).scheduler != scheduler:
            line = {"credit": 232, "credit2": 439}[scheduler]
            where, problem = f"libxl_sched.c:{line}:sched_{scheduler}_domain_set", "Invalid argument"
            xl.log(where, f"Getting domain sched {scheduler}", domid, problem)
            raise LibxlError(ERROR_FAIL)
        weight = None if request.weight == -1 else request.weight  # -1 is libxl's "as it is"
        cap = None if request.cap == -1 else request.cap
        set_scheduling(xl.world, domain, weight, cap, xl.err)
    except LibxlError:
        xl.err("libxl_domain_sched_params_set failed.\n")
        return 1
    return 0


def _print_pool(xl: Invocation, number: int, scheduler: str) -> None:
    pool, name = xl.machine.pools[number], pool_name(xl.world, number)
    parameters = pool.parameters
    if pool.scheduler != scheduler:
        _no_parameters(xl, scheduler)
        xl.out(f"Cpupool {name}: [sched params unavailable]\n")
    elif isinstance(parameters, CreditParameters):
        xl.out(
            f"Cpupool {name}: tslice={parameters.tslice_ms}ms ratelimit={parameters.ratelimit_us}us"
            f" migration-delay={parameters.migration_delay_us}us\n"
        )
    else:
        xl.out(f"Cpupool {name}: ratelimit={parameters.ratelimit_us}us\n")


def _no_parameters(xl: Invocation, scheduler: str) -> None:
    """What is said if the pool's scheduler is another one."""
    name, line = {"credit": ("Credit", 287), "credit2": ("Credit2", 362)}[scheduler]
    where = f"libxl_sched.c:{line}:libxl_sched_{scheduler}_params_get"
    xl.log(where, f"getting {name} scheduler parameters", errno="Invalid argument")
    xl.err(f"libxl_sched_{scheduler}_params_get failed.\n")


def _pool(xl: Invocation, request: Request, number: int, scheduler: str) -> int:
    if (request.tslice, request.ratelimit, request.migration_delay) == (None, None, None):
        _print_pool(xl, number, scheduler)
        return 0
    pool = xl.machine.pools[number]
    now = pool.parameters
    if scheduler == "credit" and not isinstance(now, CreditParameters):
        _no_parameters(xl, scheduler)
        return 1
    try:
        new: CreditParameters | Credit2Parameters
        if isinstance(now, CreditParameters) and scheduler == "credit":
            new = _new_credit(xl, request, now)
        else:
            new = _new_credit2(xl, request, now)
    except LibxlError:
        xl.err(f"libxl_sched_{scheduler}_params_set failed.\n")
        return 1
    xl.machine.set_pool(number, replace(pool, parameters=new))
    return 0


def _new_credit(xl: Invocation, request: Request, now: CreditParameters) -> CreditParameters:
    """libxl_sched_credit_params_set."""
    where = "libxl_sched_credit_params_set"
    tslice = now.tslice_ms if request.tslice is None else request.tslice
    ratelimit = now.ratelimit_us if request.ratelimit is None else request.ratelimit
    delay = now.migration_delay_us if request.migration_delay is None else request.migration_delay
    if not TSLICE_MS[0] <= tslice <= TSLICE_MS[1]:
        text = f"Time slice out of range, valid range is from {TSLICE_MS[0]} to {TSLICE_MS[1]}"
        _refuse(xl, f"libxl_sched.c:311:{where}", text)
    _check_ratelimit(xl, ratelimit)
    if ratelimit > tslice * 1000:
        _refuse(xl, f"libxl_sched.c:321:{where}", "Ratelimit cannot be greater than timeslice")
    if not 0 <= delay <= MIGRATION_DELAY_MAX_US:
        text = f"vcpu migration delay should be >= 0 and <= {MIGRATION_DELAY_MAX_US}us"
        _refuse(xl, f"libxl_sched.c:326:{where}", text)
    return CreditParameters(tslice, ratelimit, delay)


def _new_credit2(
    xl: Invocation, request: Request, now: CreditParameters | Credit2Parameters
) -> Credit2Parameters:
    """libxl_sched_credit2_params_set, which has nothing but the rate limit to set."""
    ratelimit = request.ratelimit or 0
    _check_ratelimit(xl, ratelimit)
    if not isinstance(now, Credit2Parameters):
        where = "libxl_sched.c:389:libxl_sched_credit2_params_set"
        xl.log(where, "Setting Credit2 scheduler parameters", errno="Invalid argument")
        raise LibxlError(ERROR_FAIL)
    return replace(now, ratelimit_us=ratelimit)


def _check_ratelimit(xl: Invocation, ratelimit: int) -> None:
    if ratelimit and not RATELIMIT_US[0] <= ratelimit <= RATELIMIT_US[1]:
        text = f"Ratelimit out of range, valid range is from {RATELIMIT_US[0]} to {RATELIMIT_US[1]}"
        _refuse(xl, "libxl_sched.c:270:sched_ratelimit_check", text)


def _refuse(xl: Invocation, where: str, text: str) -> NoReturn:
    xl.log(where, text)
    raise LibxlError(ERROR_INVAL)
