"""xl mem-set and mem-max (xl_mem.c, libxl_mem.c). A size without a suffix is in MiB."""

from __future__ import annotations

import re

from xenlab.hosts.sim.machine import Domain
from xenlab.hosts.sim.toolstack import fill_dom0_memory
from xenlab.hosts.sim.xl.invocation import Invocation
from xenlab.memory.limits import LimitError, Limits


def parse_size_kb(text: str) -> int | None:
    """A size with an optional suffix b, k, m, g or t, in KiB; None if it is not one.

    >>> parse_size_kb("64"), parse_size_kb("65536k"), parse_size_kb("1g"), parse_size_kb("64MB")
    (65536, 65536, 1048576, None)
    """
    match = re.fullmatch(r"\s*([+-]?\d*)([bBkKmMgGtT]?)", text)
    if not match or match[1] in ("+", "-"):
        return None
    number, suffix = int(match[1] or 0), match[2].lower() or "m"
    size = number >> 10 if suffix == "b" else number << 10 * "kmgt".index(suffix)
    return None if size == -1 else size


def mem_set(xl: Invocation) -> int:
    """``xl mem-set``: the amount that the guest's balloon is to reach, and Xen's limit for it."""
    domid, size, text = _arguments(xl, "mem-set")
    if size is None:
        return _invalid(xl, text)
    domain = _domain(xl, domid)
    if domain is None or not _set_target(xl, domain, size):
        xl.err(f"cannot set domid {domid} dynamic max memory to : {text}\n")
        return 1
    return 0


def mem_max(xl: Invocation) -> int:
    """``xl mem-max``: the most that the domain may have."""
    domid, size, text = _arguments(xl, "mem-max")
    if size is None:
        return _invalid(xl, text)
    domain = _domain(xl, domid)
    if domain is None or not _set_maximum(xl, domain, size):
        xl.err(f"cannot set domid {domid} static max memory to : {text}\n")
        return 1
    return 0


def _arguments(xl: Invocation, command: str) -> tuple[int, int | None, str]:
    _, operands = xl.options(command, required=2)
    return xl.domid(operands[0]), parse_size_kb(operands[1]), operands[1]


def _domain(xl: Invocation, domid: int) -> Domain | None:
    domain = xl.domain(domid)
    if domain is None:
        text = f"unable to find domain info for domain {domid}"
        xl.log("libxl_dom.c:1216:libxl__userdata_path", text, errno="Success")
    elif domid == 0:
        fill_dom0_memory(xl.world)
    return domain


def _invalid(xl: Invocation, text: str) -> int:
    xl.err(f"invalid memory size: {text}\n")
    return 1


def _limits(xl: Invocation, domain: Domain) -> Limits:
    store, memory = xl.world.store, f"/local/domain/{domain.domid}/memory"
    static_max, target = (int(store.read(f"{memory}/{key}") or 0) for key in ("static-max", "target"))
    return Limits(domain.domid, static_max, target, domain.max_memory_kb)


def _set_target(xl: Invocation, domain: Domain, size: int) -> bool:
    try:
        limits = _limits(xl, domain).set_target(size)
    except LimitError as refused:
        xl.log(refused.place, refused.text + "\n" * ("dynamic" in refused.text), domain.domid)
        return False
    domain.max_memory_kb = limits.max_kb
    xl.world.store.write(f"/local/domain/{domain.domid}/memory/target", str(limits.target_kb))
    xl.world.store.write(f"/vm/{domain.uuid}/memory", str(limits.target_kb // 1024))
    return True


def _set_maximum(xl: Invocation, domain: Domain, size: int) -> bool:
    try:
        limits = _limits(xl, domain).set_static_max(size)
    except LimitError as refused:
        xl.log(refused.place, refused.text, domain.domid, "Success")
        return False
    domain.max_memory_kb = limits.max_kb
    xl.world.store.write(f"/local/domain/{domain.domid}/memory/static-max", str(limits.static_max_kb))
    return True
