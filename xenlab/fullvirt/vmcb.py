"""The page by which Xen tells an AMD processor what a guest may do alone: the VMCB, read from Xen's log.

The debug key ``v`` makes Xen write all of them into its log (on Intel it writes VMCSs, in another form). A VMCB holds
the guest's state, the reason of its last exit, and a bit for each thing that shall cause one: AMD64 Architecture
Programmer's Manual, volume 2, section 15 and appendix B.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from xenlab.commands import Commands
from xenlab.fullvirt.xentrace import AMD, reason

#: Bits of the two words of general intercepts that concern instructions and interrupts a reader may know.
GENERAL1 = {0: "interrupts", 14: "rdtsc", 17: "popf", 18: "cpuid", 20: "iret", 23: "pause", 24: "hlt", 25: "invlpg",
            27: "in and out", 28: "model-specific registers", 31: "shutdown"}  # fmt: skip
GENERAL2 = {0: "vmrun", 1: "hypercall (vmmcall)", 7: "rdtscp", 9: "wbinvd", 10: "monitor", 11: "mwait"}


@dataclass(frozen=True)
class Vmcb:
    """The VMCB of one virtual processor, its fields by the names that Xen gives them."""

    domid: int
    vcpu: int
    fields: dict[str, int]

    @property
    def last_exit(self) -> str:
        """Why the guest exited last."""
        return reason(self.fields["exitcode"], AMD)

    @property
    def nested(self) -> bool:
        """Does the processor walk a nested table?"""
        return bool(self.fields["np_ctrl"] & 1)

    def exits_at(self, what: str) -> bool:
        """Is this, one of the words of `GENERAL1` and `GENERAL2` or ``write to cr3``, to cause an exit?"""
        if control := re.fullmatch(r"(read|write) (?:of|to) cr(\d+)", what):
            return bool(self.fields["cr_intercepts"] >> (int(control[2]) + 16 * (control[1] == "write")) & 1)
        return any(
            name == what and self.fields[word] >> bit & 1
            for word, names in (("general1_intercepts", GENERAL1), ("general2_intercepts", GENERAL2))
            for bit, name in names.items()
        )


def vmcbs(log: str) -> Iterator[Vmcb]:
    """The VMCBs in the last dump that Xen's log holds.

    >>> dump = '''(XEN) *********** VMCB Areas **************
    ... (XEN) >>> Domain 1 <<<
    ... (XEN) \\tVCPU 0
    ... (XEN) general1_intercepts = 0xbd44000f general2_intercepts = 0x6f7f
    ... (XEN) exitcode = 0x78 exit_int_info = 0'''
    >>> [(each.domid, each.last_exit, each.exits_at("hlt"), each.exits_at("rdtsc")) for each in vmcbs(dump)]
    [(1, 'hlt', True, False)]
    """
    _, found, dump = log.rpartition("VMCB Areas")
    if not found:
        return
    for domain in dump.split(">>> Domain ")[1:]:
        domid = int(domain.split()[0])
        for vcpu in domain.split("\tVCPU ")[1:]:
            pairs = re.findall(r"(\w+)\s*=\s*(0x[0-9a-f]+|\d+)\b", vcpu)
            yield Vmcb(domid, int(vcpu.split()[0]), {name: int(value, 0) for name, value in pairs})


def read(host: Commands, domid: int) -> Vmcb | None:
    """The VMCB of a domain's first virtual processor now; None where the processor has none, as Intel's."""
    host.xl("debug-keys", "v")
    return next((each for each in vmcbs(host.xl("dmesg")) if each.domid == domid), None)
