"""A domain's life: the letters, the counted pauses, requests against force, and what no event may break."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenlab.commands import XenlabError
from xenlab.domains.model import (
    COMMANDS,
    EVENTS,
    MEANING,
    UNDER_WAY,
    Actor,
    Life,
    Phase,
    Reason,
    State,
    event_of,
    state_of,
)


@st.composite
def lives(draw: st.DrawFn) -> Life:
    """Any life that some sequence of possible events leads to."""
    life = Life()
    for _ in range(draw(st.integers(0, 12))):
        life = life.after(draw(st.sampled_from(life.possible())))
    return life


@pytest.mark.parametrize(
    ("letters", "state"),
    [
        ("r-----", State.RUNNING),
        ("-b----", State.BLOCKED),
        ("------", State.RUNNABLE),
        ("--p---", State.PAUSED),
        ("-bp---", State.PAUSED),
        ("---s--", State.SHUTDOWN),
        ("---sr-", State.SHUTDOWN),
        ("---sc-", State.CRASHED),
        ("--ps-d", State.DYING),
    ],
)
def test_the_six_letters_of_xl_list_name_one_state(letters, state):
    assert state_of(letters) is state


@pytest.mark.parametrize("letters", ["", "r----", "b-----", "-B----", "---sx-"])
def test_anything_but_six_such_letters_is_refused(letters):
    with pytest.raises(XenlabError, match="must be the six of xl list"):
        state_of(letters)


def test_a_new_domain_waits_for_a_processor_and_created_paused_it_waits_for_xl():
    assert Life().after("create").letters == "------"
    assert Life().after("create -p").letters == "--p---"


def test_pauses_are_counted():
    life = Life().after("create", "run", "pause", "pause", "unpause")
    assert life.state is State.PAUSED
    assert life.after("unpause").state is State.RUNNABLE
    with pytest.raises(XenlabError, match=r"event\(='unpause'\) cannot happen while the domain is runnable"):
        life.after("unpause", "unpause")


def test_a_paused_idle_domain_keeps_its_b():
    assert Life().after("create", "run", "block", "pause").letters == "-bp---"


def test_shutdown_asks_and_destroy_does_not():
    paused = Life().after("create", "pause")
    late = paused.after("shutdown").settled()
    assert late.state is State.PAUSED
    assert late.after("unpause").settled().state is State.ABSENT, (
        "xl has given up, but the request is still there"
    )
    unsaved = paused.after("save").settled()
    assert unsaved.state is State.PAUSED
    assert unsaved.after("unpause").settled().state is State.BLOCKED, "xl takes back a request to suspend"
    assert paused.after("destroy").settled().state is State.ABSENT


def test_a_guest_told_to_power_off_passes_through_shutdown_and_dying():
    states = [Life().after("create", "shutdown")]
    for event in ("obey", "clean up", "free"):
        states.append(states[-1].after(event))
    assert [life.letters for life in states] == ["------", "---s--", "--ps-d", ""]


def test_reboot_and_restore_make_a_new_domain_with_a_new_number():
    first = Life().after("create")
    assert first.after("reboot").settled().id == 2
    assert first.after("save").settled().after("restore").id == 2


def test_save_leaves_an_image_and_save_c_leaves_the_domain_too():
    life = Life().after("create", "run")
    assert life.after("save").settled().state is State.SAVED
    kept = life.after("save -c").settled()
    assert (kept.state, kept.image, kept.id) == (State.BLOCKED, True, 1)


def test_a_crash_shows_its_letter():
    assert Life().after("create", "crash").letters == "---sc-"


def test_an_unknown_event_names_the_known_ones():
    with pytest.raises(XenlabError, match=r"event\(='stop'\) must be one of: create"):
        Life().after("stop")


@settings(max_examples=60)
@given(lives())
def test_the_letters_and_the_state_never_disagree(life):
    if life.phase is Phase.ABSENT:
        assert life.letters == ""
        assert life.state in (State.ABSENT, State.SAVED)
    else:
        assert state_of(life.letters) is life.state
        assert not ("r" in life.letters[0] and life.pauses), "nothing paused is on a processor"


@settings(max_examples=60)
@given(lives())
def test_a_domain_that_exists_has_a_number_and_numbers_only_grow(life):
    assert (life.id is None) == (life.phase is Phase.ABSENT)
    for event in life.possible():
        after = life.after(event)
        assert after.last_id >= life.last_id
        assert after.image >= life.image, "a saved image is never lost"


@settings(max_examples=60)
@given(lives())
def test_every_life_can_be_ended_and_begun_again(life):
    if life.phase is Phase.ALIVE:
        life = life.after("destroy")
    assert life.settled().phase is not Phase.DYING
    assert "create" in Life(last_id=life.last_id).possible()


@settings(max_examples=60)
@given(lives(), st.booleans())
def test_settling_leaves_nothing_under_way(life, busy):
    settled = life.settled(busy)
    assert not set(UNDER_WAY) & set(settled.possible())
    assert settled.settled(busy) == settled


def test_every_event_can_happen_and_every_state_can_be_reached():
    seen, events, frontier = set(), set(), {Life()}
    for _ in range(7):
        frontier = {(life, name) for life in frontier for name in life.possible()}
        events |= {name for _, name in frontier}
        frontier = {life.after(name) for life, name in frontier if life.pauses < 2 and life.last_id < 3}
        seen |= {life.state for life in frontier}
    assert events == set(EVENTS)
    assert seen == set(State) == set(MEANING)


def test_command_lines_name_their_event():
    assert event_of(["xl", "destroy", "web"]) == ("destroy", "web")
    assert event_of(["xl", "create", "-p", "web.cfg"]) == ("create -p", "web.cfg")
    assert event_of(["xl", "shutdown", "-w", "web"]) == ("shutdown", "web")
    assert event_of(["xl", "obey", "web"]) is None, "only xl's own commands"
    assert {EVENTS[name].actor for name in COMMANDS} == {Actor.XL}
    assert event_of(["cat", "pause", "web"]) is None
    assert event_of(["xl", "pause"]) is None


def test_reason_codes_are_those_of_the_public_header():
    assert [reason.value for reason in Reason] == [0, 1, 2, 3, 4, 5]
