"""The numbers and names of the format of a saved domain: magic values, layouts of headers, types of records and pages.

Sources: `tools/xl/xl.h`, `docs/specs/libxl-migration-stream.pandoc`,
`docs/specs/libxc-migration-stream.pandoc` and `tools/libs/guest/xg_sr_stream_format.h` of Xen 4.17.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

XL_MAGIC = b"Xen saved domain, xl format\n \0 \r"
XL_HEADER = struct.Struct(
    "<32sIIII"
)  # magic, byteorder, mandatory flags, optional flags, optional data length
XL_BYTEORDER = 0x01020304
XL_JSON, XL_STREAM_V2 = 1, 2

LIBXL_HEADER = struct.Struct(">8sII")  # ident, version, options
LIBXL_IDENT, LIBXL_VERSION = b"LibxlFmt", 2

IMAGE_HEADER = struct.Struct(">QIIHHI")  # marker, id, version, options, reserved
IMAGE_MARKER, IMAGE_ID = 0xFFFF_FFFF_FFFF_FFFF, 0x58454E46
IMAGE_VERSIONS = (2, 3)
DOMAIN_HEADER = struct.Struct("<IHHII")  # type, page shift, reserved, Xen major, Xen minor
GUEST_TYPES: Mapping[int, str] = {1: "x86 PV", 2: "x86 HVM"}

RECORD_HEADER = struct.Struct("<II")  # type, length of the body
RECORD_MAX = 128 << 20
OPTIONAL = 1 << 31
END = 0

LIBXL_RECORDS: Mapping[int, str] = {
    0: "END",
    1: "LIBXC_CONTEXT",
    2: "EMULATOR_XENSTORE_DATA",
    3: "EMULATOR_CONTEXT",
    4: "CHECKPOINT_END",
    5: "CHECKPOINT_STATE",
}
LIBXC_CONTEXT = 1
LIBXC_RECORDS: Mapping[int, str] = {
    0x0: "END",
    0x1: "PAGE_DATA",
    0x2: "X86_PV_INFO",
    0x3: "X86_PV_P2M_FRAMES",
    0x4: "X86_PV_VCPU_BASIC",
    0x5: "X86_PV_VCPU_EXTENDED",
    0x6: "X86_PV_VCPU_XSAVE",
    0x7: "SHARED_INFO",
    0x8: "X86_TSC_INFO",
    0x9: "HVM_CONTEXT",
    0xA: "HVM_PARAMS",
    0xB: "TOOLSTACK",
    0xC: "X86_PV_VCPU_MSRS",
    0xD: "VERIFY",
    0xE: "CHECKPOINT",
    0xF: "CHECKPOINT_DIRTY_PFN_LIST",
    0x10: "STATIC_DATA_END",
    0x11: "X86_CPUID_POLICY",
    0x12: "X86_MSR_POLICY",
}
PAGE_DATA, CHECKPOINT = 1, 14

PAGE_DATA_HEADER = struct.Struct("<II")  # count, reserved
PFN_MASK = 0x000F_FFFF_FFFF_FFFF
#: Types of page by number (XEN_DOMCTL_PFINFO_*); 5 to 8 are reserved.
PAGE_TYPES: Mapping[int, str] = {
    0x0: "NOTAB",
    0x1: "L1TAB",
    0x2: "L2TAB",
    0x3: "L3TAB",
    0x4: "L4TAB",
    0x9: "L1TAB_PIN",
    0xA: "L2TAB_PIN",
    0xB: "L3TAB_PIN",
    0xC: "L4TAB_PIN",
    0xD: "BROKEN",
    0xE: "XALLOC",
    0xF: "XTAB",
}
#: Types from this one on come without contents.
BROKEN, XTAB = 0xD, 0xF

HVM_DESCRIPTOR = struct.Struct("<HHI")  # typecode, instance, length
HVM_FILE_MAGIC = 0x54381286
#: What an HVM context is made of (`xen/include/public/arch-x86/hvm/save.h`).
HVM_TYPES: Mapping[int, str] = {
    0: "END",
    1: "HEADER",
    2: "CPU",
    3: "PIC",
    4: "IOAPIC",
    5: "LAPIC",
    6: "LAPIC_REGS",
    7: "PCI_IRQ",
    8: "ISA_IRQ",
    9: "PCI_LINK",
    10: "PIT",
    11: "RTC",
    12: "HPET",
    13: "PMTIMER",
    14: "MTRR",
    15: "VIRIDIAN_DOMAIN",
    16: "CPU_XSAVE",
    17: "VIRIDIAN_VCPU",
    18: "VMCE_VCPU",
    19: "TSC_ADJUST",
    20: "CPU_MSR",
}
