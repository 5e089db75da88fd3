"""Who may ask Xen for what: the rule behind every refusal.

Each operation of Xen's belongs to one of a few classes, and one small function says who may use which. Xen has no other
notion of power: dom0 is not a program inside the hypervisor, but a domain with one bit set, *control*.

Source: xen/include/xsm/dummy.h at RELEASE-4.17.7 (`xsm_default_action`); with the module FLASK a policy of one's own
takes its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Right(Enum):
    """The classes of operations, by who may use them (``XSM_*``)."""

    EVERYBODY = "every domain"
    ITSELF = "the domain itself, and whoever may control it"
    XENSTORE = "the domain that runs xenstore, and control domains"
    DEVICE_MODEL = "the domain that emulates its devices, and control domains"
    CONTROL = "control domains only"


@dataclass(frozen=True)
class Domain:
    """What Xen's rule looks at in a domain: is it a control domain, does it run xenstore, whose devices it emulates."""

    domid: int
    control: bool = False
    xenstore: bool = False
    emulates_for: int | None = None


DOM0 = Domain(0, control=True, xenstore=True)


def allowed(right: Right, asking: Domain, target: int | None = None) -> bool:
    """May `asking` do an operation of this class to the domain `target` (None: to the machine)?

    >>> guest = Domain(1)
    >>> allowed(Right.ITSELF, guest, 1), allowed(Right.ITSELF, guest, 2), allowed(Right.ITSELF, DOM0, 1)
    (True, False, True)
    >>> allowed(Right.CONTROL, guest, 1)
    False
    """
    if right is Right.EVERYBODY:
        return True
    if right is Right.ITSELF and asking.domid == target:
        return True
    if right is Right.XENSTORE and asking.xenstore:
        return True
    emulator = target is not None and asking.emulates_for == target
    return asking.control or (emulator and right is not Right.CONTROL)
