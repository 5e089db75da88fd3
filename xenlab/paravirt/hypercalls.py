"""Xen's system calls: their numbers, and the errors they return.

A hypercall is to a guest's kernel what a system call is to a program. On x86-64 a PV guest puts the number into rax and
the arguments into rdi, rsi, rdx, r10 and r8, and executes ``syscall``. What comes back in rax is a result, or the
negative number of an error. Source: xen/include/public/xen.h, arch-x86/xen-x86_64.h and errno.h at RELEASE-4.17.7.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping

from xenlab.commands import XenlabError

#: The hypercalls of x86 by name: the number of each (__HYPERVISOR_*).
NUMBERS: Mapping[str, int] = {
    "set_trap_table": 0,
    "mmu_update": 1,
    "set_gdt": 2,
    "stack_switch": 3,
    "set_callbacks": 4,
    "fpu_taskswitch": 5,
    "sched_op_compat": 6,
    "platform_op": 7,
    "set_debugreg": 8,
    "get_debugreg": 9,
    "update_descriptor": 10,
    "memory_op": 12,
    "multicall": 13,
    "update_va_mapping": 14,
    "set_timer_op": 15,
    "event_channel_op_compat": 16,
    "xen_version": 17,
    "console_io": 18,
    "physdev_op_compat": 19,
    "grant_table_op": 20,
    "vm_assist": 21,
    "update_va_mapping_otherdomain": 22,
    "iret": 23,
    "vcpu_op": 24,
    "set_segment_base": 25,
    "mmuext_op": 26,
    "xsm_op": 27,
    "nmi_op": 28,
    "sched_op": 29,
    "callback_op": 30,
    "xenoprof_op": 31,
    "event_channel_op": 32,
    "physdev_op": 33,
    "hvm_op": 34,
    "sysctl": 35,
    "domctl": 36,
    "kexec_op": 37,
    "tmem_op": 38,
    "argo_op": 39,
    "xenpmu_op": 40,
    "dm_op": 41,
    "hypfs_op": 42,
    "mca": 48,
}
NAMES: Mapping[int, str] = {number: name for name, number in NUMBERS.items()}


def number_of(name: str) -> int:
    """The number of a hypercall; raises `XenlabError` if there is none of this name.

    >>> number_of("mmu_update"), number_of("multicall")
    (1, 13)
    """
    if name not in NUMBERS:
        raise XenlabError(f"hypercall(={name!r}) must be one of: {', '.join(NUMBERS)}")
    return NUMBERS[name]


def in_words(result: int) -> str:
    """What a hypercall's result says: the error's name if it is one, the number if not.

    >>> in_words(2**64 - 1), in_words(-22), in_words(0), in_words(0x40011)
    ('EPERM', 'EINVAL', '0', '0x40011')
    """
    signed = result - (1 << 64) if result >= 1 << 63 else result
    if -4096 < signed < 0:
        return errno.errorcode.get(-signed, str(signed))
    return str(signed) if 0 <= signed < 10 else hex(signed & (1 << 64) - 1)
