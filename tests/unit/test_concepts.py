"""Instructions are sorted as Popek and Goldberg sort them, and the monitor fails exactly where they say it must."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenlab.commands import XenlabError
from xenlab.concepts.classify import classify, decide
from xenlab.concepts.forms import FORMS, PARTS, form
from xenlab.concepts.instructions import GOOD, HARMLESS, OLD, X86, trapping
from xenlab.concepts.machine import SIZE, USER, State, Trap
from xenlab.concepts.monitor import GUEST, X86_GUEST, bare, first_difference, monitored, same
from xenlab.concepts.view import Forms, SideBySide, Theorem
from xenlab.problems.concepts import CanItBeVirtualized, WhichForm


def programs(instructions):
    step = st.tuples(st.sampled_from(sorted(instructions)), st.integers(0, 7))
    return st.lists(step, max_size=12)


#: What a guest may do without losing its own machine: set_bounds and user_mode end the story.
PEACEFUL = {name: each for name, each in GOOD.items() if name not in ("set_bounds", "user_mode")}


def test_a_program_reaches_only_the_words_within_its_bounds():
    state = State(base=4, bound=3, memory=tuple(range(SIZE)))
    assert [state.load(a) for a in range(3)] == [4, 5, 6]
    for outside in (-1, 3, SIZE):
        with pytest.raises(Trap, match="memory"):
            state.load(outside)
    with pytest.raises(Trap, match="memory"):
        State(base=SIZE - 1, bound=8).load(1)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("add", "innocuous"),
        ("store", "innocuous"),
        ("jump", "innocuous"),
        ("set_bounds", "privileged, control-sensitive"),
        ("interrupts", "privileged, control-sensitive"),
        ("user_mode", "privileged, control-sensitive"),
        ("pop_flags", "control-sensitive, mode-sensitive"),
        ("read_mode", "mode-sensitive"),
        ("real_address", "location-sensitive"),
        ("return_to_user", "control-sensitive"),
    ],
)
def test_instructions_fall_into_the_papers_classes(name, words):
    assert classify({**X86, **OLD}[name]).words == words


def test_every_witness_shows_what_it_is_kept_for():
    for each in {**X86, **OLD}.values():
        found = classify(each)
        if found.mode is not None:
            assert found.mode != State()
        if found.control is not None:
            assert any(
                (after.mode, after.base, after.bound, after.interrupts)
                != (found.control.mode, found.control.base, found.control.bound, found.control.interrupts)
                for after in _results(each, found.control)
            )


def _results(instruction, state):
    for operand in range(SIZE):
        try:
            yield instruction.effect(state, operand)
        except Trap:
            continue


def test_theorem_1_holds_when_all_that_is_sensitive_traps():
    assert decide(GOOD).virtualizable
    assert decide(X86).offenders == ("pop_flags", "read_mode")
    assert decide(trapping(X86, *X86)).virtualizable
    assert decide(OLD).offenders == ("real_address", "return_to_user")


def test_the_pdp_10_can_have_a_hybrid_monitor():
    # JRST 1 is sensitive in supervisor mode only (CACM 1974, section 6); the paper says so of the PDP-10.
    pdp10 = GOOD | {"return_to_user": OLD["return_to_user"]}
    assert not decide(pdp10).virtualizable
    assert decide(pdp10).hybrid
    assert not decide(X86).hybrid


@settings(max_examples=60)
@given(programs(PEACEFUL))
def test_a_guest_of_a_good_processor_cannot_tell_that_it_is_monitored(program):
    try:
        alone = bare(program, GOOD)
    except Trap:
        return  # it left its bounds: on both machines the supervisor would be called
    assert same(alone, monitored(program, GOOD))


@settings(max_examples=60)
@given(programs(PEACEFUL))
def test_innocuous_instructions_run_without_the_monitor(program):
    try:
        steps = monitored(program, GOOD)
    except Trap:
        return
    assert [step.trapped for step in steps] == [name not in HARMLESS for name, _ in program]


def test_the_x86_guest_goes_wrong_at_its_first_popf_and_is_right_again_with_traps():
    assert first_difference(bare(GUEST, GOOD), monitored(GUEST, GOOD)) is None
    wrong = first_difference(bare(X86_GUEST, X86), monitored(X86_GUEST, X86))
    assert X86_GUEST[wrong][0] == "pop_flags"
    fixed = trapping(X86, "pop_flags", "read_mode")
    assert same(bare(X86_GUEST, fixed), monitored(X86_GUEST, fixed))


def test_the_monitors_guest_never_leaves_user_mode_or_its_room():
    for step in monitored(X86_GUEST, X86):
        assert step.machine.base == 0
    assert State(mode=USER).mode == USER


def test_unknown_names_are_refused():
    with pytest.raises(XenlabError, match=r"names\(=\['fly'\]\) must be among: add"):
        trapping(GOOD, "fly")
    with pytest.raises(XenlabError, match="must be one of: Emulation"):
        form("magic")


def test_every_form_names_the_layer_that_virtualizes():
    for each in FORMS:
        layers = {layer for row in each.rows for layer in row}
        assert each.virtualizes in layers
        assert each.rows[-1] == ("HF",)
    assert {letters for each in FORMS for row in each.rows for letters in row if letters.isupper()} == set(
        PARTS
    )
    assert form("Virtualização completa").name == "Full virtualization"


def test_the_widgets_say_what_the_models_say():
    theorem = Theorem(X86)
    theorem.traps = list(X86)
    assert theorem.describe().endswith("a monitor can stay in control.")
    theorem.traps = []
    assert "set_bounds" in theorem.describe().splitlines()[-1]
    story = SideBySide(X86_GUEST, X86)
    assert sum("Now the machines differ" in caption for caption in story.captions) == 1
    assert "Emulação" in Forms().picture()


@pytest.mark.parametrize("kind", [CanItBeVirtualized, WhichForm])
def test_exercises_reply_to_every_answer(kind):
    solutions = set()
    for seed in range(40):
        problem = kind.make(seed)
        solutions.add(problem.solve())
        assert problem.check(problem.solve()).right
        assert not problem.check("add" if kind is CanItBeVirtualized else "nothing").right
    assert len(solutions) >= 5
