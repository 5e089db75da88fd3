"""Real x86-64 code on an emulated processor, by unicorn, which is the translator of QEMU as a library.

The machine has a few pages of memory, and a serial port at COM1. Hooks call back at every instruction, at every access
to memory, at ``in`` and ``out``, and at ``cpuid``: so an emulator can watch a program, and put devices and answers in
place of those of the real machine. Keystone assembles, capstone disassembles.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from xenlab.commands import XenlabError
from xenlab.emulation.machine import Board

#: Where code, data and the stack lie; each has one page.
CODE, DATA, STACK, PAGE = 0x1000, 0x2000, 0x3000, 0x1000
#: The registers that are watched, without the letter that tells their width.
REGISTERS = ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp")
_WIDTH = {16: "e", 64: "r"}
#: What ``cpuid`` says here about who made the processor: twelve letters.
VENDOR = b"XenlabNibble"


@dataclass(frozen=True)
class Line:
    """One instruction as it lies in memory."""

    address: int
    code: bytes
    text: str


@dataclass(frozen=True)
class Access:
    """What an instruction did outside its registers: ``read`` or ``write`` memory, ``in`` or ``out`` of a port."""

    what: str
    where: int
    size: int
    value: int

    @property
    def words(self) -> str:
        """The access in words."""
        if self.what in ("in", "out"):
            return f"{self.what} port {self.where:#x}: {self.value:#x}"
        return f"{self.what} {self.size} bytes at {self.where:#x}: {self.value:#x}"


@dataclass
class Step:
    """One executed instruction: its address, the registers before it, and what it did outside them."""

    address: int
    registers: dict[str, int]
    accesses: list[Access] = field(default_factory=list)


def assemble(source: str, address: int = CODE, bits: int = 64) -> bytes:
    """Turn x86 assembly (Intel's notation, comments after ``#``) into bytes; raises `XenlabError` if it is wrong.

    >>> assemble("mov al, 'A'; hlt").hex()
    'b041f4'
    """
    import keystone

    mode = {16: keystone.KS_MODE_16, 32: keystone.KS_MODE_32, 64: keystone.KS_MODE_64}[bits]
    assembler = keystone.Ks(keystone.KS_ARCH_X86, mode)
    lines = [line.split("#")[0].strip() for line in source.splitlines()]
    try:
        made, _ = assembler.asm("\n".join(lines), address)
    except keystone.KsError as error:
        raise XenlabError(f"{_wrong_line(assembler, lines)}: {error}") from None
    return bytes(made or [])


def _wrong_line(assembler: Any, lines: list[str]) -> str:
    """The first line that is wrong by itself: keystone tells only that there is one."""
    import keystone

    for number, line in enumerate(lines, start=1):
        try:
            assembler.asm(line)
        except keystone.KsError as error:
            if error.errno != keystone.KS_ERR_ASM_SYMBOL_MISSING:
                return f"line {number} ({line})"
    return "the program"


def disassemble(code: bytes, address: int = CODE, bits: int = 64) -> list[Line]:
    """Turn bytes into instructions, up to the first that is none.

    >>> [line.text for line in disassemble(bytes.fromhex("b041f4"))]
    ['mov al, 0x41', 'hlt']
    """
    import capstone

    mode = {16: capstone.CS_MODE_16, 32: capstone.CS_MODE_32, 64: capstone.CS_MODE_64}[bits]
    return [
        Line(each.address, bytes(each.bytes), f"{each.mnemonic} {each.op_str}".strip())
        for each in capstone.Cs(capstone.CS_ARCH_X86, mode).disasm(code, address)
    ]


class X86Machine:
    """An emulated x86-64 computer with some code in it.

    `steps` fills up as it runs, if it is `watched`; without, no hook slows it down but those of the devices. `bits` is
    64, or 16 for code such as a PC begins with.

    >>> machine = X86Machine("mov dx, 0x3f8; mov al, 'A'; out dx, al; hlt")
    >>> machine.run()
    'hlt'
    >>> machine.console, machine.steps[2].accesses[0].words
    ('A', 'out port 0x3f8: 0x41')
    """

    def __init__(self, program: str | bytes, *, watched: bool = True, bits: int = 64) -> None:
        import unicorn
        from unicorn import x86_const

        self.bits = bits
        self._pc = x86_const.UC_X86_REG_RIP if bits == 64 else x86_const.UC_X86_REG_EIP
        self.code = assemble(program, bits=bits) if isinstance(program, str) else program
        if len(self.code) > PAGE:
            raise XenlabError(f"program(={len(self.code)} bytes) must fit into a page of {PAGE}")
        self.board = Board()
        self.steps: list[Step] = []
        self._uc: Any = unicorn.Uc(unicorn.UC_ARCH_X86, getattr(unicorn, f"UC_MODE_{bits}"))
        for page in (CODE, DATA, STACK):
            self._uc.mem_map(page, PAGE)
        self._uc.mem_write(CODE, self.code)
        self._uc.reg_write(_numbers(bits)[f"{_WIDTH[bits]}sp"], STACK + PAGE - 8)
        hook = self._uc.hook_add
        hook(unicorn.UC_HOOK_INSN, self._in, aux1=x86_const.UC_X86_INS_IN)
        hook(unicorn.UC_HOOK_INSN, self._out, aux1=x86_const.UC_X86_INS_OUT)
        hook(unicorn.UC_HOOK_INSN, self._cpuid, aux1=x86_const.UC_X86_INS_CPUID)
        if watched:
            hook(unicorn.UC_HOOK_CODE, self._instruction)
            hook(unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE, self._memory)

    @property
    def console(self) -> str:
        """What was sent to the serial port."""
        return self.board.uart.text

    @property
    def lines(self) -> list[Line]:
        """The program, disassembled."""
        return disassemble(self.code, bits=self.bits)

    @property
    def registers(self) -> dict[str, int]:
        """The registers as they are now."""
        return {name: self._uc.reg_read(number) for name, number in _numbers(self.bits).items()}

    def run(self, limit: int = 100_000) -> str:
        """Run until ``hlt``, or for `limit` instructions; return the name of the last instruction.

        Raises `XenlabError` for an instruction that does not exist or an address that is not there.
        """
        import unicorn

        try:
            self._uc.emu_start(CODE, CODE + len(self.code), count=limit)
        except unicorn.UcError as error:
            where = self._uc.reg_read(self._pc)
            raise XenlabError(f"the program failed at {where:#x}: {error}") from None
        at = self._uc.reg_read(self._pc)
        before = [line for line in self.lines if line.address + len(line.code) == at]
        return before[0].text.split()[0] if before else "?"

    # -- the hooks

    def _instruction(self, uc: Any, address: int, size: int, data: object) -> None:
        self.steps.append(Step(address, self.registers))

    def _memory(self, uc: Any, access: int, address: int, size: int, value: int, data: object) -> None:
        import unicorn

        writes = access == unicorn.UC_MEM_WRITE
        if not writes:
            value = int.from_bytes(uc.mem_read(address, size), "little")
        self._note(Access("write" if writes else "read", address, size, value & (1 << 8 * size) - 1))

    def _in(self, uc: Any, port: int, size: int, data: object) -> int:
        value = self.board.read(port) & (1 << 8 * size) - 1
        self._note(Access("in", port, size, value))
        return value

    def _out(self, uc: Any, port: int, size: int, value: int, data: object) -> None:
        self.board.write(port, value)
        self._note(Access("out", port, size, value))

    def _cpuid(self, uc: Any, data: object) -> int:
        """Answer in place of the processor for leaf 0, as a hypervisor does; leave the others to unicorn."""
        from unicorn import x86_const as x86

        if uc.reg_read(x86.UC_X86_REG_EAX):
            return 0
        uc.reg_write(x86.UC_X86_REG_EAX, 1)
        parts = (x86.UC_X86_REG_EBX, x86.UC_X86_REG_EDX, x86.UC_X86_REG_ECX)
        for number, register in enumerate(parts):
            uc.reg_write(register, int.from_bytes(VENDOR[4 * number : 4 * number + 4], "little"))
        return 1

    def _note(self, access: Access) -> None:
        if self.steps:
            self.steps[-1].accesses.append(access)


@cache
def _numbers(bits: int) -> dict[str, int]:
    from unicorn import x86_const

    names = [_WIDTH[bits] + name for name in REGISTERS]
    return {name: getattr(x86_const, f"UC_X86_REG_{name.upper()}") for name in names}


#: Asks the processor who made it, keeps the answer in memory, and writes it to the serial port.
WHO = """\
    xor eax, eax
    cpuid
    mov edi, 0x2000
    mov dword ptr [rdi], ebx
    mov dword ptr [rdi+4], edx
    mov dword ptr [rdi+8], ecx
    mov esi, 12
    mov ebx, edi
next:
    mov dx, 0x3fd          # the line status register:
    in al, dx
    test al, 0x20          # is there room to send?
    jz next
    mov al, byte ptr [rbx]
    mov dx, 0x3f8
    out dx, al
    inc ebx
    dec esi
    jnz next
    hlt
"""

#: The same work as `programs.COLLATZ`, for a native processor: the longest way to 1 is left in eax.
COLLATZ = """\
    mov edi, {starts}
    mov esi, 2
    xor eax, eax
start:
    mov ecx, esi
    xor edx, edx
step:
    cmp ecx, 1
    je ended
    inc edx
    test ecx, 1
    jnz odd
    shr ecx, 1
    jmp step
odd:
    lea ecx, [ecx+ecx*2+1]
    jmp step
ended:
    cmp eax, edx
    jae less
    mov eax, edx
less:
    inc esi
    cmp esi, edi
    jb start
"""
