"""What a PV guest's kernel finds when it behaves as if the machine were its own: instructions, and page tables.

Each trial is a step for `xenlab.paravirt.driver.run`, and says in words what it tries. They are made to be tried in
their order, by one guest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from xenlab.paravirt.driver import Host, run, words
from xenlab.paravirt.kernel import Step


@dataclass(frozen=True)
class Trial:
    """One thing that the guest's kernel tries, and why it ends as it does."""

    what: str
    step: Step
    why: str = ""


def _cpuid(name: str, leaf: int, register: str, asked: bool) -> Step:
    """CPUID: as it is, or with the prefix by which one asks Xen."""
    prefix = "ud2; .byte 0x78, 0x65, 0x6e; " if asked else ""
    return Step(name, f"mov eax, {leaf:#x}; {prefix}cpuid; mov eax, {register}")


#: Instructions of which a kernel in ring 0 would expect more.
INSTRUCTIONS = (
    Trial(
        "which ring am I in?",
        Step("cs", "mov rax, cs"),
        "The last two bits of the number are the ring: 3, that of any program.",
    ),
    Trial(
        "read CR0 by mov (it traps, and Xen answers)",
        Step("cr0", "mov rax, cr0"),
        "In ring 3 this traps. Xen reads the instruction, and answers with the register, less one bit.",
    ),
    Trial(
        "read CR0 by smsw (it does not trap)",
        Step("smsw", "smsw rax"),
        "The same register, all of it. This does not trap, so nobody asks Xen.",
    ),
    Trial(
        "are interrupts let in?",
        Step("flags", "pushfq; pop rax; and eax, 0x200"),
        "Yes. They go to Xen, whatever the guest wants.",
    ),
    Trial(
        "keep them out by popf, and look again",
        Step("popf", "pushfq; and qword ptr [rsp], -0x201; popfq; pushfq; pop rax; and eax, 0x200"),
        "Ignored, without a word. A kernel that trusts it will be interrupted.",
    ),
    Trial(
        "keep them out by cli",
        Step("cli", "cli; mov eax, 0"),
        "It traps, and Xen refuses. A guest sets a bit in a page that it shares with Xen instead.",
    ),
    Trial(
        "stop the processor by hlt",
        Step("hlt", "hlt; mov eax, 0"),
        "It traps. A guest that has nothing to do says so by a hypercall.",
    ),
    Trial(
        "read a device's port",
        Step("in", "mov eax, 0; in al, 0x60"),
        "It traps. This guest has no right to any port.",
    ),
    Trial(
        "load an interrupt table of my own",
        Step("lidt", "lidt [rip + page]; mov eax, 0"),
        "It traps. A guest registers its handlers by a hypercall.",
    ),
    Trial(
        "in whose memory is the interrupt table? (sidt)",
        Step(
            "sidt", "sidt [rip + idt]; mov rax, [rip + idt + 2]; shr rax, 43; shl rax, 43", "idt: .quad 0, 0"
        ),
        "In the part of the address space that is Xen's. The instruction tells whoever asks.",
    ),
    Trial(
        "read Xen's memory",
        Step("peek", "mov rax, 0xffff82d040000000; mov rax, [rax]"),
        "It is mapped, in this very address space, but for ring 0 only.",
    ),
    Trial(
        "who is the hypervisor? (cpuid)",
        _cpuid("who", 0x40000000, "ebx", asked=False),
        "Whoever is below Xen. In the box that is QEMU, which spells itself TCG.",
    ),
    Trial(
        "who is the hypervisor? (Xen asked)",
        _cpuid("who-asked", 0x40000000, "ebx", asked=True),
        "The letters XenV. The prefix traps, and Xen answers from what it has on record for this guest.",
    ),
    Trial(
        "what can the processor do? (cpuid)",
        _cpuid("can", 1, "edx", asked=False),
        "What the machine can. The instruction does not trap.",
    ),
    Trial(
        "what can the processor do? (Xen asked)",
        _cpuid("can-asked", 1, "edx", asked=True),
        "Less: Xen leaves out what would let a kernel touch the machine.",
    ),
)

#: Code that uses the step's page, or its own entry in the tables, or asks for a page-table operation.
_FRAME = "lea rax, [rip + page]; call frame_of; "
_ENTRY = "lea rdi, [rip + page]; call entry_of; "
_MACHINE = "shl rax, 12; "
_MAP = "mov rsi, rax; mov edx, 2; mov eax, update_va_mapping; syscall"
_MAP_PAGE = _FRAME + _MACHINE + "or rax, {flags}; lea rdi, [rip + page]; " + _MAP
_ROOT = "mov rbx, [rip + info]; mov rax, [rbx + 88]; mov rdi, rax; call frame_of; " + _MACHINE
_PIN = "mov eax, mmuext_op; lea rdi, [rip + extended]; mov esi, 1; mov edx, 0; mov r10d, 0x7ff0; syscall"
_WRITE = "mov eax, mmu_update; lea rdi, [rip + update]; mov esi, 1; mov edx, 0; mov r10d, 0x7ff0; syscall"
_FIRST = _FRAME + _MACHINE + "mov [rip + update], rax; "
_STORE = "mov rax, [rdx]; {change}mov [rdx], rax; mov eax, 0"


def _entry(name: str, value: str, data: str = "") -> Step:
    """Write `value` into the first entry of the table that the page has become."""
    return Step(name, f"{_FIRST}{value}; mov [rip + update + 8], rax; {_WRITE}", data)


#: What a kernel does with page tables, and what Xen says. `page` is a page of its own that nothing else uses.
PAGE_TABLES = (
    Trial(
        "write an entry as if it were memory",
        Step("store", _ENTRY + _STORE.format(change="")),
        "The page that holds the table is mapped read-only in its own guest. So the store faults.",
    ),
    Trial(
        "ask Xen to do such writes for me (vm_assist)",
        Step("assist", "mov eax, vm_assist; mov edi, 0; mov esi, 2; syscall"),
        "Xen agrees: from now on it will look at such faults.",
    ),
    Trial(
        "write it: the page shall be read-only",
        Step("store-ro", _ENTRY + _STORE.format(change="and rax, -3; ")),
        "The store faults again. Xen reads the instruction, checks the entry, and writes it.",
    ),
    Trial(
        "write to the page",
        Step("write-ro", "mov byte ptr [rip + page], 1; mov eax, 0"),
        "No trick, no copy: the processor itself uses this table, and the page is read-only now.",
    ),
    Trial(
        "make the page a table (pin)",
        Step("pin", f"{_FRAME}mov [rip + extended + 8], rax; {_PIN}", "extended: .quad 0, 0, 0"),
        "Nobody can write to the page any more. So it may become a table.",
    ),
    Trial(
        "map the table, writable",
        Step("map-rw", _MAP_PAGE.format(flags=0x67)),
        "A frame has one role at a time. This one is a table, so it is not writable.",
    ),
    Trial(
        "in it: map another domain's page",
        _entry("foreign", "mov eax, 0x1000067", "update: .quad 0, 0"),
        "That frame belongs to somebody else.",
    ),
    Trial(
        "in it: map a device",
        _entry("device", "mov eax, 0xfee00067"),
        "That is not memory at all, but a device's registers. The guest was given no right to them.",
    ),
    Trial(
        "in it: map itself, writable",
        _entry("self-rw", "or rax, 0x67"),
        "A table that its owner can write is one that nobody has checked.",
    ),
    Trial(
        "in it: map itself, read-only",
        _entry("self-ro", "or rax, 0x65"),
        "Reading does no harm. A table may map itself.",
    ),
    Trial(
        "in it: take that out",
        _entry("clear", "mov eax, 0"),
        "Taking a mapping away is always allowed.",
    ),
    Trial(
        "pin it once more",
        Step("pin-again", _PIN),
        "A pin is held once.",
    ),
    Trial(
        "make it an ordinary page (unpin)",
        Step("unpin", "mov qword ptr [rip + extended], 4; " + _PIN),
        "That was its last use as a table.",
    ),
    Trial(
        "map the page, writable",
        Step("map-rw-again", _MAP_PAGE.format(flags=0x67)),
        "No use is left, so the frame may take another role.",
    ),
    Trial(
        "write to the page again",
        Step("write", "mov byte ptr [rip + page], 1; movzx eax, byte ptr [rip + page]"),
        "An ordinary page, as before.",
    ),
    Trial(
        "map my root table, writable",
        Step("root-rw", _ROOT + "or rax, 0x67; " + _MAP),
        "With a root of its own making a guest could map everything.",
    ),
    Trial(
        "in my root: take an entry of Xen's",
        Step(
            "xen-slot",
            f"{_ROOT}add rax, 256 * 8; mov [rip + update], rax; mov rax, 0; "
            f"mov [rip + update + 8], rax; {_WRITE}",
        ),
        "Entries 256 to 271 of every root table are Xen's own.",
    ),
)

#: How often each of `COSTS` does its thing.
TIMES = 1000


def _repeated(name: str, code: str, before: str = "") -> Step:
    """Cycles that `TIMES` repetitions of `code` take."""
    loop = (
        f"{before}rdtsc; mov ebx, eax; mov r12d, {TIMES}\nagain_{name}:\n{code}; dec r12d; jnz again_{name}"
    )
    return Step(name, f"{loop}\nrdtsc; sub eax, ebx")


def _batched(name: str, call: str, size: int, code: str, before: str = "") -> Step:
    """Cycles that one call with `TIMES` requests takes; `code` writes one at rdi, `size` is its length."""
    fill = f"{before}lea rdi, [rip + requests]; mov ecx, {TIMES}\nagain_{name}:\n{code}; add rdi, {size}; dec ecx"
    call = (
        f"mov eax, {call}; lea rdi, [rip + requests]; mov esi, {TIMES}; mov edx, 0; mov r10d, 0x7ff0; syscall"
    )
    data = f"requests: .space {TIMES * 64}" if name == "multicall" else ""
    return Step(name, f"{fill}; jnz again_{name}\nrdtsc; mov ebx, eax; {call}; rdtsc; sub eax, ebx", data)


_SAME = _FRAME + _MACHINE + "or rax, 0x67; mov r13, rax; "
_ASSISTED = (
    "mov eax, vm_assist; mov edi, 0; mov esi, 2; syscall; " + _ENTRY + "mov r14, rdx; mov r13, [rdx]; "
)

#: A thousand times the same thing, in cycles of the clock counter: by a trap, by a call, and many in one call.
COSTS = (
    Trial("read CR0: trap, decode, emulate", _repeated("trap", "mov rax, cr0")),
    Trial("a hypercall", _repeated("hypercall", "mov eax, xen_version; mov edi, 0; mov esi, 0; syscall")),
    Trial(
        "the same, 1000 in a multicall",
        _batched(
            "multicall", "multicall", 64, "mov qword ptr [rdi], xen_version; mov qword ptr [rdi + 16], 0"
        ),
    ),
    Trial(
        "change an entry: a write that Xen emulates",
        _repeated("emulated", "xor r13, 2; mov [r14], r13", _ASSISTED),
    ),
    Trial(
        "the same, by a hypercall",
        _repeated(
            "entry",
            "lea rdi, [rip + page]; xor r13, 2; mov rsi, r13; mov edx, 0; mov eax, update_va_mapping; syscall",
            _SAME,
        ),
    ),
    Trial(
        "the same, 1000 in an mmu_update",
        _batched(
            "batch",
            "mmu_update",
            16,
            "xor r13, 2; mov [rdi], r14; mov [rdi + 8], r13",
            _ENTRY + "mov r14, rax; mov r13, [rdx]; ",
        ),
    ),
)


def tried(host: Host, trials: Iterable[Trial], name: str = "xenlab-tiny") -> Mapping[str, str]:
    """Let a guest try these things on a host; return its answers in words, by what was tried.

    Raises what `xenlab.paravirt.driver.run` raises.
    """
    trials = list(trials)
    answers = words(run(host, [trial.step for trial in trials], name))
    return {trial.what: answers[trial.step.name] for trial in trials}
