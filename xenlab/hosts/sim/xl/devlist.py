"""xl block-list and network-list: a domain's devices as xenstore has them (xl_block.c, xl_nic.c)."""

from __future__ import annotations

from xenlab.hosts.sim.xl.invocation import Invocation


def block_list(xl: Invocation) -> int:
    """``xl block-list DOMAIN...``."""
    _, operands = xl.options("block-list", required=1)
    xl.out(
        f"{'Vdev':<5} {'BE':<3} {'handle':<6} {'state':<5} {'evt-ch':<6} {'ring-ref':<8} {'BE-path':<30}\n"
    )
    for name in operands:
        if not (name.isdigit() or xl.world.domain_named(name)):
            xl.err(f"{name} is an invalid domain identifier\n")
            continue
        domid = xl.domid(name)
        for number in xl.world.store.names(f"/libxl/{domid}/device/vbd") or []:
            front = f"/local/domain/{domid}/device/vbd/{number}"
            backend = xl.world.store.read(f"{front}/backend") or ""
            state, event, ring = (
                _number(xl, f"{front}/{key}") for key in ("state", "event-channel", "ring-ref")
            )
            xl.out(f"{number:<5} {0:<3} {domid:<6} {state:<5} {event:<6} {ring:<8} {backend:<30}\n")
    return 0


def network_list(xl: Invocation) -> int:
    """``xl network-list DOMAIN...``."""
    _, operands = xl.options("network-list", required=1)
    heading = f"{'Idx':<3} {'BE':<2} {'Mac Addr.':<17} {'handle':<6} {'state':<5} {'evt-ch':<6}"
    xl.out(f"{heading} {'tx-':>5}/{'rx-ring-ref':<5} {'BE-path':<30}\n")
    for name in operands:
        domid = xl.domid(name)
        for number in xl.world.store.names(f"/libxl/{domid}/device/vif") or []:
            front = f"/local/domain/{domid}/device/vif/{number}"
            backend = xl.world.store.read(f"{front}/backend") or ""
            mac = xl.world.store.read(f"{front}/mac") or ""
            keys = ("state", "event-channel", "tx-ring-ref", "rx-ring-ref")
            state, event, transmit, receive = (_number(xl, f"{front}/{key}") for key in keys)
            row = (
                f"{number:<3} {0:<2} {mac}{int(number):6d} {state:5d} {event:6d} {transmit:5d}/{receive:<11d}"
            )
            xl.out(f"{row} {backend:<30}\n")
    return 0


def _number(xl: Invocation, path: str) -> int:
    value = xl.world.store.read(path)
    return -1 if value is None else int(value)
