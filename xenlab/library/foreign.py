"""A program for another system: real x86-64 machine code that calls Windows' functions in Windows' way.

The file is simpler than a real one (PE): a magic word, the names of the functions that it imports, the code. What is as
on Windows is what a translation layer must get right: the functions' names and arguments (Win32 API), and where the
arguments lie. Windows puts the first four into RCX, RDX, R8, R9, the fifth on the stack behind 32 bytes of room, and
keeps RSI and RDI for the caller; Linux uses RDI, RSI, RDX, RCX, R8 (Microsoft, "x64 calling convention"; System V ABI,
AMD64 supplement, 3.2.3).
"""

from __future__ import annotations

from dataclasses import dataclass

from xenlab.commands import XenlabError

MAGIC = b"XLFE"

#: Writes a line, sleeps, writes how long that took, and ends. RCX holds the table of imported functions at the start.
HELLO = """
    push rbx
    push rsi
    sub rsp, 0x38
    mov rbx, rcx
    call [rbx + 8 * {GetTickCount64}]
    mov rsi, rax
    mov ecx, -11
    call [rbx + 8 * {GetStdHandle}]
    mov rcx, rax
    lea rdx, [rip + text]
    mov r8d, 27
    lea r9, [rsp + 0x30]
    mov qword ptr [rsp + 0x20], 0
    call [rbx + 8 * {WriteFile}]
    mov ecx, 20
    call [rbx + 8 * {Sleep}]
    call [rbx + 8 * {GetTickCount64}]
    sub rax, rsi
    cmp rax, 20
    setb cl
    movzx ecx, cl
    call [rbx + 8 * {ExitProcess}]
text:
    .ascii "Hello from another system.\\n"
"""
IMPORTS = ("GetStdHandle", "WriteFile", "Sleep", "GetTickCount64", "ExitProcess")


class BadExecutable(XenlabError):
    """A file that is no foreign program."""


@dataclass(frozen=True)
class Executable:
    """A foreign program: the functions that it calls, by name, and its code, which starts at its first byte."""

    imports: tuple[str, ...]
    code: bytes

    def pack(self) -> bytes:
        """The file: magic word, number of imports, their names each with a zero byte, code."""
        names = b"".join(name.encode() + b"\0" for name in self.imports)
        return MAGIC + len(self.imports).to_bytes(2, "little") + names + self.code

    @classmethod
    def unpack(cls, data: bytes) -> Executable:
        """Read a file.

        Raises:
            BadExecutable: It does not begin with the magic word, or it ends too soon.

        """
        if not data.startswith(MAGIC):
            raise BadExecutable(f"the file must begin with {MAGIC!r}, and begins with {data[:4]!r}")
        count = int.from_bytes(data[4:6], "little")
        *names, code = data[6:].split(b"\0", count)
        if len(names) < count:
            raise BadExecutable(f"the file must name {count} functions, and ends after {len(names)}")
        return cls(tuple(name.decode() for name in names), code)


def hello() -> Executable:
    """Assemble the book's foreign program.

    >>> hello().imports
    ('GetStdHandle', 'WriteFile', 'Sleep', 'GetTickCount64', 'ExitProcess')
    """
    return Executable(IMPORTS, assemble(HELLO.format(**{name: at for at, name in enumerate(IMPORTS)})))


def assemble(text: str) -> bytes:
    """Turn x86-64 assembly (Intel's spelling) into machine code.

    >>> assemble("mov rdi, rcx").hex()
    '4889cf'
    """
    import keystone

    engine = keystone.Ks(keystone.KS_ARCH_X86, keystone.KS_MODE_64)
    code, _ = engine.asm(text)
    return bytes(code or ())
