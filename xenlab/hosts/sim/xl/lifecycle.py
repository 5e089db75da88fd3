"""xl pause, unpause, destroy, shutdown, reboot, rename (xl_vmcontrol.c, xl_misc.c)."""

from __future__ import annotations

from collections.abc import Callable

from xenlab.domains.console import CONSOLE_LOG
from xenlab.hosts.sim.libxl_log import LibxlError
from xenlab.hosts.sim.machine import Domain
from xenlab.hosts.sim.process import NotSimulated
from xenlab.hosts.sim.toolstack import destroy_domain, log_no_such_domain, rename_domain
from xenlab.hosts.sim.xl.invocation import Invocation

ACKNOWLEDGE_LIMIT = 60.0  # seconds; libxl__domain_pvcontrol
A_YEAR = 365 * 86400.0  # for commands that wait as long as it takes


def pause(xl: Invocation) -> int:
    """``xl pause``; pauses add up, and xl says nothing of failure in its exit status."""
    _, operands = xl.options("pause", required=1)
    domid = xl.domid(operands[0])
    domain = xl.domain(domid)
    if domain is None:
        xl.log("libxl_domain.c:587:libxl_domain_pause", "Pausing domain", domid, "No such process")
    elif domid == 0:
        xl.log("libxl_domain.c:587:libxl_domain_pause", "Pausing domain", domid, "Invalid argument")
    else:
        xl.machine.pause(domain)
    return 0


def unpause(xl: Invocation) -> int:
    """``xl unpause``: takes back one pause."""
    _, operands = xl.options("unpause", required=1)
    domid = xl.domid(operands[0])
    domain = xl.domain(domid)
    if domain is None:
        xl.no_domain_type(domid)
    elif domain.pauses == 0:
        xl.log("libxl_domain.c:688:domain_unpause_done", "Unpausing domain", domid, "Invalid argument")
    else:
        xl.machine.unpause(domain)
    return 0


def destroy(xl: Invocation) -> int:
    """``xl destroy``: the domain ends at once, as if its power were cut."""
    options, operands = xl.options("destroy", "f", required=1)
    domid = xl.domid(operands[0])
    if domid == 0 and not options:
        xl.err(
            "Not destroying domain 0; use -f to force.\n"
            "This can only be done when using a disaggregated hardware domain and toolstack.\n\n"
        )
        return 1
    domain = xl.domain(domid)
    if domain is None:
        log_no_such_domain(xl.err, domid)
        xl.err("destroy failed (rc=-21)\n")
        return 1
    if domid == 0:
        raise NotSimulated("xl destroy -f 0")
    destroy_domain(xl.world, domain)
    return 0


def shutdown(xl: Invocation) -> int:
    """``xl shutdown``: asks the guest to power itself off."""
    return _ask(xl, "shutdown", "Shutting down", "poweroff")


def reboot(xl: Invocation) -> int:
    """``xl reboot``: asks the guest to reboot itself."""
    return _ask(xl, "reboot", "Rebooting", "reboot")


def _ask(xl: Invocation, command: str, doing: str, request: str) -> int:
    options, operands = xl.options(command, "awF", {"all": "a", "wait": "w"})
    letters = [letter for letter, _ in options]
    if not operands and "a" not in letters:
        xl.err("You must specify -a or a domain id.\n\n")
        return 1
    domids = [domid for domid in xl.machine.domains if domid] if "a" in letters else [xl.domid(operands[0])]
    asked: list[Domain] = []
    for domid in domids:
        xl.err(f"{doing} domain {domid}\n")
        try:
            asked.append(_request(xl, domid, request))
        except LibxlError as error:
            xl.err(f"{command} failed (rc={error.rc})\n")
            return 1
    if "w" in letters:
        _wait(xl, asked, until_destroyed=letters.count("w") > 1)
    return 0


def _request(xl: Invocation, domid: int, request: str) -> Domain:
    """Write the request into xenstore and wait for the guest to take it (libxl__domain_pvcontrol)."""
    domain = xl.domain(domid)
    if domain is None:
        xl.no_domain_type(domid)
        raise LibxlError(-3)
    path = f"/local/domain/{domid}/control/shutdown"
    xl.world.store.write(path, request)
    if not xl.world.pass_time_until(lambda: not xl.world.store.read(path), ACKNOWLEDGE_LIMIT):
        xl.log("libxl_domain.c:854:pvcontrol_cb", "guest didn't acknowledge control request: -9")
        raise LibxlError(-9)
    return domain


def _wait(xl: Invocation, domains: list[Domain], until_destroyed: bool) -> None:
    xl.err(f"Waiting for {len(domains)} domains\n")
    waiting = list(domains)
    told: set[int] = set()
    while waiting:
        xl.world.pass_time_until(_any(waiting, told), A_YEAR)
        for domain in list(waiting):
            if domain.destroyed:
                xl.err(f"Domain {domain.domid} has been destroyed\n")
                waiting.remove(domain)
            elif domain.shutdown_reason is not None and domain.domid not in told:
                told.add(domain.domid)
                reason = domain.shutdown_reason
                xl.err(f"Domain {domain.domid} has been shut down, reason code {reason}\n")
                if until_destroyed:
                    xl.err(f"Domain {domain.domid} continue waiting for death\n")
                else:
                    waiting.remove(domain)


def _any(domains: list[Domain], told: set[int]) -> Callable[[], bool]:
    return lambda: any(
        domain.destroyed or (domain.shutdown_reason is not None and domain.domid not in told)
        for domain in domains
    )


def rename(xl: Invocation) -> int:
    """``xl rename``."""
    _, operands = xl.options("rename", required=2)
    name, new_name = operands[:2]
    domid = xl.domid(name)
    domain = xl.domain(domid)
    if domain is None:
        xl.log("libxl_domain.c:354:libxl_domain_info", "Getting domain info list", domid)
        xl.err(f"Can't rename domain '{name}'.\n")
        return 1
    try:
        rename_domain(xl.world, domain, new_name, xl.err)
    except LibxlError:
        xl.err(f"Can't rename domain '{name}'.\n")
        return 1
    return 0


def console(xl: Invocation) -> int:
    """``xl console``: only its mistakes; the simulated guest's output is in its log."""
    options, operands = xl.options("console", "n:t:", required=1)
    if dict(options).get("t", "pv") not in ("pv", "serial", "vuart"):
        xl.err("console type supported are: pv, serial, vuart\n")
        return 1
    domid = xl.domid(operands[0])
    if xl.domain(domid) is not None:
        log = CONSOLE_LOG.format(xl.name_of(domid))
        raise NotSimulated(f"xl console, a dialogue with the guest (what it has printed is in {log}),")
    xl.no_domain_type(domid)
    xl.err("Unable to attach console\n")
    return 1
