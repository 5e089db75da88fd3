"""xl sched-credit and sched-credit2 (xl_sched.c, libxl_sched.c)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from xenlab.hosts.sim.libxl_log import LibxlError
from xenlab.hosts.sim.toolstack import set_scheduling
from xenlab.hosts.sim.xl.invocation import Invocation

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
    if request.cpupool is not None and request.cpupool not in ("Pool-0", "0"):
        xl.err(f"unknown cpupool '{request.cpupool}'\n")
        return 1
    if request.schedparam:
        return _pool(xl, request, scheduler)
    if request.domain is None:
        if xl.world.spec.scheduler == scheduler:
            _print_pool(xl, scheduler)
            _print_domains(xl, list(xl.machine.domains), scheduler)
        return 0
    domid = xl.domid(request.domain)
    if request.weight is None and request.cap is None:
        return _print_domains(xl, [domid], scheduler)
    return _set_domain(xl, domid, request, scheduler)


def _print_domains(xl: Invocation, domids: list[int], scheduler: str) -> int:
    xl.out(f"{'Name':<33} {'ID':>4} {'Weight':>6} {'Cap':>4}\n")
    for domid in domids:
        domain = xl.domain(domid)
        if domain is None:
            where, problem = "libxl_dom.c:76:libxl__domain_cpupool", "No such file or directory"
            xl.log(where, "getinfolist failed 0", errno=problem)
            xl.log("libxl_sched.c:905:libxl_domain_sched_params_get", "Unknown scheduler", domid)
            xl.err("libxl_domain_sched_params_get failed.\n")
            return 1
        if xl.world.spec.scheduler != scheduler:
            xl.err(f"libxl_domain_sched_params_get returned {xl.world.spec.scheduler} not {scheduler}.\n")
            return 1
        xl.out(f"{xl.name_of(domid):<33} {domid:4d} {domain.weight:6d} {domain.cap:4d}\n")
    return 0


def _set_domain(xl: Invocation, domid: int, request: Request, scheduler: str) -> int:
    domain = xl.domain(domid)
    try:
        if domain is None or xl.world.spec.scheduler != scheduler:
            raise LibxlError(-6)
        weight = None if request.weight == -1 else request.weight  # -1 is libxl's "as it is"
        cap = None if request.cap == -1 else request.cap
        set_scheduling(xl.world, domain, weight, cap, xl.err)
    except LibxlError:
        xl.err("libxl_domain_sched_params_set failed.\n")
        return 1
    return 0


def _print_pool(xl: Invocation, scheduler: str) -> None:
    parameters = xl.machine.scheduler
    if xl.world.spec.scheduler != scheduler:
        xl.out("Cpupool Pool-0: [sched params unavailable]\n")
    elif scheduler == "credit":
        xl.out(
            f"Cpupool Pool-0: tslice={parameters.tslice_ms}ms ratelimit={parameters.ratelimit_us}us"
            f" migration-delay={parameters.migration_delay_us}us\n"
        )
    else:
        xl.out(f"Cpupool Pool-0: ratelimit={parameters.ratelimit_us}us\n")


def _pool(xl: Invocation, request: Request, scheduler: str) -> int:
    if (request.tslice, request.ratelimit, request.migration_delay) == (None, None, None):
        _print_pool(xl, scheduler)
        return 0
    problem = _set_pool(xl, request, scheduler)
    if problem is None:
        return 0
    where, text = problem
    if text:
        xl.log(where, text)
    xl.err(f"libxl_sched_{scheduler}_params_set failed.\n")
    return 1


def _set_pool(xl: Invocation, request: Request, scheduler: str) -> tuple[str, str] | None:
    """Set pool-wide parameters; what is wrong with them, if something is."""
    now = xl.machine.scheduler
    tslice = now.tslice_ms if request.tslice is None else request.tslice
    ratelimit = now.ratelimit_us if request.ratelimit is None else request.ratelimit
    delay = now.migration_delay_us if request.migration_delay is None else request.migration_delay
    where = "libxl_sched_credit_params_set"
    if scheduler == "credit" and not TSLICE_MS[0] <= tslice <= TSLICE_MS[1]:
        text = f"Time slice out of range, valid range is from {TSLICE_MS[0]} to {TSLICE_MS[1]}"
        return f"libxl_sched.c:311:{where}", text
    if ratelimit and not RATELIMIT_US[0] <= ratelimit <= RATELIMIT_US[1]:
        text = f"Ratelimit out of range, valid range is from {RATELIMIT_US[0]} to {RATELIMIT_US[1]}"
        return "libxl_sched.c:270:sched_ratelimit_check", text
    if scheduler == "credit" and ratelimit > tslice * 1000:
        return f"libxl_sched.c:321:{where}", "Ratelimit cannot be greater than timeslice"
    if scheduler == "credit" and not 0 <= delay <= MIGRATION_DELAY_MAX_US:
        text = f"vcpu migration delay should be >= 0 and <= {MIGRATION_DELAY_MAX_US}us"
        return f"libxl_sched.c:326:{where}", text
    now.tslice_ms, now.ratelimit_us, now.migration_delay_us = tslice, ratelimit, delay
    return None
