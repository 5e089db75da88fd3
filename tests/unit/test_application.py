"""The stack machine computes what Python computes, refuses what it cannot prove, and WebAssembly keeps its walls."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenlab.application.compiler import CannotCompile, compile_source
from xenlab.application.costs import TRIANGLE, measure, triangle
from xenlab.application.stackvm import (
    EFFECT,
    Instruction,
    Machine,
    OutOfFuel,
    Rejected,
    listing,
    verify,
    wrapped,
)
from xenlab.application.view import StackPlayer
from xenlab.application.wasm import Module

expressions = st.recursive(
    st.integers(-50, 50).map(str) | st.sampled_from(["x", "y"]),
    lambda inner: st.tuples(inner, st.sampled_from(["+", "-", "*", "<", "=="]), inner).map(
        lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"
    ),
    max_leaves=12,
)


@given(expressions, st.integers(-9, 9), st.integers(-9, 9))
def test_expressions_come_to_what_python_makes_of_them(expression, x, y):
    machine = Machine(compile_source(f"x = {x}\ny = {y}\nprint({expression})")).run()
    assert machine.output == [wrapped(int(eval(expression, {"x": x, "y": y})))]
    assert machine.stack == []


PROGRAMS = (
    "n = 10\nwhile 0 < n:\n    print(n)\n    n = n - 3",
    "a = 0\nb = 1\nn = 12\nwhile 0 < n:\n    c = a + b\n    a = b\n    b = c\n    n = n - 1\nprint(a)",
    "n = 27\nwhile 1 < n:\n    if n == 27:\n        n = 5\n    else:\n        n = n - 1\n    print(n)",
    "if 1 < 2:\n    print(-7)",
)


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_print_what_cpython_prints(program):
    python = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert [str(value) for value in Machine(compile_source(program)).run().output] == python.stdout.split()


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("x = 1.5", "line 1: `1.5` must be made of whole numbers"),
        ("x = 1\nimport os", "line 2: `import os`"),
        ("x = y / 2", "line 1: `y / 2`"),
        ("print(1, 2)", r"line 1: `print\(1, 2\)`"),
        ("x = True", "line 1: `True`"),
    ],
)
def test_what_it_cannot_compile_is_named_with_its_line(program, message):
    with pytest.raises(CannotCompile, match=message):
        compile_source(program)


def code(text):
    words = [line.split() for line in text.strip().splitlines()]
    return tuple(Instruction(*[int(w) if w.lstrip("-").isdigit() else w for w in line]) for line in words)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("add\nhalt", "0: `add` takes 2 from the stack, which holds 0"),
        ("push 1\nprint", r"place\(=2\) must be in the code"),
        ("jump 7", r"place\(=7\) must be in the code"),
        ("push 1\njump_if_zero 3\npush 2\nhalt", "3: `halt` is reached with"),
        ("fly\nhalt", "0: `fly` must be one of"),
        ("jump\nhalt", "0: `jump` must name a place"),
        ("push 1\njump 0", "0: `push 1` is reached with 0 and with 1 values"),
    ],
)
def test_the_verifier_refuses_and_says_where(text, message):
    with pytest.raises(Rejected, match=message):
        verify(code(text))
    with pytest.raises(Rejected):
        Machine(code(text))


instructions = st.builds(
    lambda name, operand: Instruction(name, operand if name in ("push", "jump", "jump_if_zero") else None),
    st.sampled_from([name for name in EFFECT if name not in ("load", "store")]),
    st.integers(0, 8),
)


@given(st.lists(instructions, min_size=1, max_size=9))
def test_code_that_was_let_in_never_takes_from_an_empty_stack(body):
    program = (*body, Instruction("halt"))
    try:
        heights = verify(program)
    except Rejected:
        return
    machine = Machine(program)
    while not machine.halted and machine.steps < 200:
        assert len(machine.stack) == heights[machine.at]
        machine.step()


def test_a_program_that_does_not_end_runs_out_of_fuel():
    with pytest.raises(OutOfFuel, match=r"fuel\(=1000\) must be more"):
        Machine(compile_source("while 1:\n    x = 1")).run(1000)


def test_numbers_wrap_at_64_bits():
    assert Machine(compile_source("print(9223372036854775807 + 1)")).run().output == [-(2**63)]


@given(st.integers(0, 3000))
def test_all_machines_agree_on_the_triangle(n):
    ours = Machine(compile_source(f"n = {n}\n{TRIANGLE}")).run().output
    assert ours == [triangle(n)] == [n * (n + 1) // 2] == [Module().call("triangle", n).answer]


@pytest.fixture(scope="module")
def module():
    return Module()


@given(at=st.integers(0, 2**31 - 1))
def test_a_module_reads_its_own_memory_and_nothing_else(module, at):
    called = module.call("peek", at)
    if at < 65536:
        assert called.answer == (b"hello"[at - 16] if 16 <= at < 21 else 0)
    else:
        assert called.trap == "out of bounds memory access"


def test_a_module_that_does_not_end_is_stopped_and_the_host_goes_on(module):
    assert module.call("forever", fuel=10_000).trap == "all fuel consumed by WebAssembly"
    assert module.call("triangle", 3).answer == 6


def test_a_module_calls_what_it_was_given(module):
    assert module.call("greet").said == ("hello",)


def test_a_module_keeps_its_walls_where_there_is_no_room_for_a_hole_behind_them():
    script = """if True:
        import resource
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
        from xenlab.application.wasm import Module
        module = Module()
        print([module.call("peek", at).trap for at in (65535, 65536, 2**31 - 1)], module.call("triangle", 9).answer)
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "[None, 'out of bounds memory access', 'out of bounds memory access'] 45\n", (
        done.stderr
    )


def test_costs_are_in_the_order_that_everybody_expects():
    ours, cpython, wasm, native = (cost.nanoseconds for cost in measure())
    assert ours > cpython > wasm
    assert cpython > native > 0


def test_the_player_ends_where_the_machine_ends():
    player = StackPlayer("n = 3\nwhile 0 < n:\n    n = n - 1\nprint(n)")
    machine = Machine(compile_source("n = 3\nwhile 0 < n:\n    n = n - 1\nprint(n)")).run()
    assert player.moments[-1]["output"] == ["0"]
    assert len(player.moments) == len(player.captions) == machine.steps + 1
    assert f"ended after {machine.steps} instructions" in player.step(1000)
    assert listing(machine.code).splitlines() == list(player.code)
    assert "It printed: 0." in player.picture()


def test_a_player_of_an_endless_program_stops_after_200_instructions():
    player = StackPlayer("while 1:\n    x = 1")
    assert len(player.captions) == 201
    assert "ended" not in player.step(1000)


def test_all_six_forms_are_compared_by_measurements():
    from xenlab.application.comparison import compare
    from xenlab.application.view import Comparison
    from xenlab.concepts.forms import FORMS

    rows = compare()
    assert [row.form for row in rows] == [form.name for form in FORMS]
    assert [row.form for row in rows if row.measured.startswith("simulated")] == [
        "Full virtualization",
        "Paravirtualization",
    ]
    assert all(any(letter.isdigit() for letter in row.measured) for row in rows)
    assert Comparison(rows).picture().count("<tr>") == 7


def test_what_cannot_be_measured_says_why(monkeypatch):
    from xenlab.application import comparison

    monkeypatch.setattr("xenlab.library.workshop.shutil.which", lambda name: None)
    library = comparison.compare()[4]
    assert library.measured.startswith("not measured here: a C compiler (`cc`) must be installed")
