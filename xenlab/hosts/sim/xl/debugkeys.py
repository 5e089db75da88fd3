"""xl debug-keys (xl_misc.c), and what Xen writes into its log for the key ``v`` (xen/arch/x86/hvm/svm/vmcb.c)."""

from __future__ import annotations

from collections.abc import Iterator

from xenlab.hosts.sim.machine import Domain
from xenlab.hosts.sim.process import NotSimulated
from xenlab.hosts.sim.xl.invocation import Invocation

#: A virtual processor of an idle guest on the box: what Xen asked for, and how Linux stands at its ``hlt``.
_VMCB = """\
Dumping guest's current state at key_handler...
Size of VMCB = 4096, paddr = {at:016x}, vaddr = ffff8300{at:08x}
cr_intercepts = 0xfef3fef3 dr_intercepts = 0xffffffff exception_intercepts = 0x60082
general1_intercepts = 0xbd44000f general2_intercepts = 0x6f7f
iopm_base_pa = 0x3fd72000 msrpm_base_pa = {msr:#x} tsc_offset = 0xfffffff8c30c95b3
tlb_control = 0 vintr = 0x10f0001 int_stat = 0
event_inj 0000000000000000, valid? 0, ec? 0, type 0, vector 0
exitcode = {exitcode:#x} exit_int_info = 0
exitinfo1 = 0 exitinfo2 = 0
np_ctrl = 0x1 guest_asid = {asid:#x}
virtual vmload/vmsave = 0, virt_ext = 0
cpl = 0 efer = 0x1d01 star = 0x23001000000000 lstar = 0xffffffff81c00080
CR0 = 0x000000008005003b CR2 = 0x00000000005794a9
CR3 = 0x00000000061ac000 CR4 = 0x00000000000006f0
RSP = 0xffffffff82a03e98  RIP = 0xffffffff81a17a0a
RAX = 0x000000000001ad40  RFLAGS=0x0000000000000246
DR6 = 0x00000000ffff0ff0, DR7 = 0x0000000000000400
CSTAR = 0xffffffff81c01870 SFMask = 0x0000000000257fd5
KernGSBase = 0x0000000000000000 PAT = 0x0007040600070406
SSP = 0x0000000000000000 S_CET = 0x0000000000000000 ISST = 0x0000000000000000
H_CR3 = {table:#018x} CleanBits = 0xffffffd6
       sel attr  limit   base
  CS: 0010 0a9b ffffffff 0000000000000000
  DS: 0000 0000 00000000 0000000000000000
  SS: 0018 0c93 ffffffff 0000000000000000
  ES: 0000 0000 00000000 0000000000000000
  FS: 0000 0000 00000000 0000000000000000
  GS: 0000 0000 00000000 ffff888007a00000
GDTR: 0000 0000 0000007f fffffe0000001000
LDTR: 0000 0000 00000000 0000000000000000
IDTR: 0000 0000 00000fff fffffe0000000000
  TR: 0040 0089 00004087 fffffe0000003000
"""
_HLT, _INTERRUPT = 0x78, 0x60


def debug_keys(xl: Invocation) -> int:
    """``xl debug-keys KEYS``: press keys on Xen's own console."""
    _, operands = xl.options("debug-keys", required=1)
    for key in operands[0]:
        if key != "v":
            raise NotSimulated(f"the debug key {key!r}")
        xl.machine.account()
        lines = [
            "*********** VMCB Areas **************",
            *_vmcbs(xl),
            "**************************************",
        ]
        xl.world.xen_log += "".join(f"(XEN) {line}\n" for line in lines)
    return 0


def _vmcbs(xl: Invocation) -> Iterator[str]:
    for domain in xl.machine.domains.values():
        if domain.type == "pvh":
            yield from ("", f">>> Domain {domain.domid} <<<")
            for number in range(len(domain.vcpus)):
                yield f"\tVCPU {number}"
                yield from _vmcb(domain, number).splitlines()


def _vmcb(domain: Domain, vcpu: int) -> str:
    page = 0x3FBF4000 - 0x10000 * domain.domid - 0x2000 * vcpu
    running = domain.vcpus[vcpu].running
    return _VMCB.format(
        at=page,
        msr=page - 0x2000,
        exitcode=_INTERRUPT if running else _HLT,
        asid=13 + domain.domid,
        table=page - 0x1C9000,
    )
