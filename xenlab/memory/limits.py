"""How much memory a domain may have: the four amounts, and what libxl allows for each.

* The **static maximum** is what the guest was built for: its tables of pages reach that far.
* The **target** is what the balloon driver in the guest shall leave it. `xl mem-set` writes it to xenstore.
* **Xen's maximum** is a fence that the guest cannot pass, whatever its balloon does. It stays 1 MiB above the target.
* What the domain **has** at this moment, Xen counts. It follows the target if the guest's balloon driver does its work.

Sources: tools/libs/light/libxl_mem.c (libxl_set_memory_target, libxl_domain_setmaxmem) and docs/misc/libxl_memory.txt,
at tag RELEASE-4.17.7.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from xenlab.commands import XenlabError

#: How far Xen's maximum is above the target, KiB (LIBXL_MAXMEM_CONSTANT).
SLACK_KB = 1024
#: The least that dom0 may be set to, KiB (LIBXL_MIN_DOM0_MEM).
DOM0_LEAST_KB = 128 * 1024


class LimitError(XenlabError):
    """An amount that libxl refuses: what it says, and where in its sources."""

    def __init__(self, place: str, text: str) -> None:
        self.place, self.text = place, text
        super().__init__(text)


@dataclass(frozen=True)
class Limits:
    """What a domain may have, in KiB.

    >>> web = Limits(1, static_max_kb=262144, target_kb=131072, max_kb=132096)
    >>> web.set_target(65536)
    Limits(domid=1, static_max_kb=262144, target_kb=65536, max_kb=66560)
    >>> web.set_target(524288)
    Traceback (most recent call last):
    ...
    xenlab.memory.limits.LimitError: memory_dynamic_max must be less than or equal to memory_static_max
    """

    domid: int
    static_max_kb: int
    target_kb: int
    max_kb: int

    def set_target(self, kb: int) -> Limits:
        """Return the limits after ``xl mem-set``. Raises `LimitError`."""
        kb &= 0xFFFFFFFFFFFFFFFF  # libxl counts without a sign: -1 is a great deal
        if kb > self.static_max_kb:
            text = "memory_dynamic_max must be less than or equal to memory_static_max"
            raise LimitError("libxl_mem.c:278:libxl_set_memory_target", text)
        if self.domid == 0 and kb < DOM0_LEAST_KB:
            text = f"New target {kb} for dom0 is below the minimum threshold"
            raise LimitError("libxl_mem.c:287:libxl_set_memory_target", text)
        return replace(self, target_kb=kb, max_kb=kb + SLACK_KB)

    def set_static_max(self, kb: int) -> Limits:
        """Return the limits after ``xl mem-max``. Raises `LimitError`."""
        if kb & 0xFFFFFFFFFFFFFFFF < self.target_kb:
            text = "memory_static_max must be greater than or or equal to memory_dynamic_max"
            raise LimitError("libxl_mem.c:59:libxl_domain_setmaxmem", text)
        return replace(self, static_max_kb=kb, max_kb=kb + SLACK_KB)
