"""A foreign program runs natively and emulated, with the same calls; a wild one is told, not waited for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenlab.commands import XenlabError
from xenlab.library.foreign import IMPORTS, BadExecutable, Executable, assemble, hello
from xenlab.library.layer import NotTranslated
from xenlab.library.translate import NotHere, run, run_emulated, run_native

RUNNERS = pytest.mark.parametrize("runner", [run_native, run_emulated])

#: Ends with the status that its own call has: a fifth argument that is not 5, or RSI and RDI not kept, make it another.
MANNERS = """
    sub rsp, 0x38
    mov rbx, rcx
    mov rsi, 77
    mov rdi, 88
    mov ecx, 1
    call [rbx + 8]
    xor ecx, ecx
    cmp rsi, 77
    setne cl
    cmp rdi, 88
    setne ch
    call [rbx]
"""


@given(st.lists(st.from_regex(r"[A-Za-z]{1,12}", fullmatch=True), max_size=5), st.binary(max_size=60))
def test_a_file_comes_back_as_it_was(names, code):
    program = Executable(tuple(names), code)
    assert Executable.unpack(program.pack()) == program


@pytest.mark.parametrize(
    ("data", "message"), [(b"MZ\x90", "must begin with b'XLFE'"), (b"XLFE\2\0a\0", "names? 2")]
)
def test_what_is_no_program_is_refused(data, message):
    with pytest.raises(BadExecutable, match=message):
        Executable.unpack(data)


@RUNNERS
def test_hello(runner):
    outcome = runner(hello())
    assert outcome.output == "Hello from another system.\n"
    assert outcome.status == 0, "it slept for as long as it asked to"
    order = ["GetTickCount64", "GetStdHandle", "WriteFile", "Sleep", "GetTickCount64", "ExitProcess"]
    assert [call.function for call in outcome.calls] == order
    written = outcome.calls[2]
    assert (written.arguments[2], written.arguments[4], written.answer) == (27, 0, 1)


@RUNNERS
def test_the_layer_keeps_the_registers_that_windows_keeps(runner):
    outcome = runner(Executable(("ExitProcess", "Sleep"), assemble(MANNERS)))
    assert outcome.status == 0


@RUNNERS
def test_the_exit_status_is_the_programs(runner):
    code = assemble("sub rsp, 0x28; mov rbx, rcx; mov ecx, 41; call [rbx]")
    assert runner(Executable(("ExitProcess",), code)).status == 41


def test_a_program_that_crashes_natively_says_so_and_is_tried_emulated():
    wild = Executable(IMPORTS, assemble("xor rax, rax; mov rax, [rax]"))
    with pytest.raises(NotHere, match="must call ExitProcess, and ended without"):
        run_native(wild)
    with pytest.raises(XenlabError, match="crashed"):
        run_emulated(wild)


def test_an_unknown_function_is_named():
    code = assemble("sub rsp, 0x28; mov rbx, rcx; call [rbx]")
    with pytest.raises(
        NotTranslated, match=r"function\(='MessageBoxA'\) must be one that the layer translates"
    ):
        run_emulated(Executable(("MessageBoxA",), code))


def test_where_the_processor_is_another_it_runs_emulated_and_says_why(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    outcome = run(hello())
    assert outcome.where == (
        "on an emulated processor (the code needs Linux on x86_64, and this is Linux on aarch64)"
    )
