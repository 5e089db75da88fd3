"""Who holds the guest: whatever breaks at whatever step, it is lost nowhere and runs at most once."""

import pytest

from xenlab.migration.pages import MigrationError
from xenlab.migration.stages import (
    ONLY_AT,
    Copy,
    Failure,
    Stage,
    Step,
    advance,
    begin,
    break_at,
    settle,
    walk,
)

EVERYTHING = [(step, failure) for failure in Failure for step in ONLY_AT.get(failure, tuple(Step))]

#: What `xl -vvv migrate -s '' migdirty 'xl migrate-receive'` printed on Xen 4.17.7, without the lines of xc and libxl.
REAL = (
    "migration target: Ready to receive domain.",
    "Saving to migration stream new xl format (info 0x3/0x0/919)",
    "Loading new save file <incoming migration stream> (new xl fmt info 0x3/0x0/919)",
    " Savefile contains xl domain config in JSON format",
    "Parsing config from <saved>",
    "migration target: Transfer complete, requesting permission to start domain.",
    "migration sender: Target has acknowledged transfer.",
    "migration sender: Giving target permission to start.",
    "migration target: Got permission, starting domain.",
    "migration target: Domain started successsfully.",
    "migration sender: Target reports successful startup.",
    "Migration successful.",
)


def test_a_migration_prints_what_a_real_xl_prints():
    assert walk(begin("migdirty", config_bytes=919))[-1].printed == REAL


def test_a_real_xl_whose_target_went_silent_before_it_acknowledged_said_and_did_the_same():
    """Measured: the receiver took the whole stream and then exited; xl printed this line last and resumed the guest."""
    left = break_at(Step.ACKNOWLEDGE, Failure.TARGET_DIES)
    assert left.printed[-1] == "Migration failed, resuming at sender."
    assert not any("libxl_domain_suspend failed" in line for line in left.printed)
    assert (left.running, left.status) == (("source",), 1)


def test_a_real_xl_whose_transport_never_came_up_printed_nothing_of_its_own():
    left = break_at(Step.CONNECT, Failure.LINK_CUT)
    assert (left.printed, left.status, left.running) == ((), 1, ("source",))


def test_the_stages_come_in_the_order_of_the_paper():
    stages = [step.stage for step in Step]
    assert stages == sorted(stages)
    assert set(stages) == set(Stage)


def test_before_the_commitment_the_source_can_go_on_and_after_it_the_target():
    for world in walk():
        if world.done is None or world.done.stage < Stage.COMMITMENT:
            assert world.source.consistent
        if world.done is not None and world.done.stage >= Stage.COMMITMENT:
            assert world.target.consistent
        assert len(world.running) <= 1
    assert walk()[-1].consistent == ("target",)
    assert walk()[-1].source is Copy.NONE


@pytest.mark.parametrize(("step", "failure"), EVERYTHING, ids=lambda value: value.name)
def test_no_failure_loses_the_guest_or_runs_it_twice(step, failure):
    left = break_at(step, failure)
    assert left.status == 1
    assert len(left.running) <= 1
    if left.undefined:
        assert step >= Step.PERMIT
        assert left.source_name == "web--migratedaway"
        assert left.consistent
    else:
        assert left.running == left.consistent == ("source",)
        assert left.source_name == "web"


@pytest.mark.parametrize(("step", "failure"), EVERYTHING, ids=lambda value: value.name)
def test_a_failure_leaves_exactly_one_consistent_copy_once_settled(step, failure):
    commands, after = settle(break_at(step, failure))
    assert len(after.consistent) == len(after.running) == 1
    assert {after.source, after.target} == {Copy.RUNNING, Copy.NONE}
    assert after.source_name + after.target_name == "web"
    if not break_at(step, failure).undefined and break_at(step, failure).target is Copy.NONE:
        assert commands == ()


def test_only_permission_lost_on_the_way_leaves_two_copies_neither_of_which_runs():
    doubtful = [case for case in EVERYTHING if len(break_at(*case).consistent) == 2]
    assert doubtful == [(Step.PERMIT, Failure.LINK_CUT)]
    assert break_at(*doubtful[0]).running == ()


def test_a_cut_after_permission_leaves_the_guest_running_at_the_target_unseen():
    left = break_at(Step.START, Failure.LINK_CUT)
    assert left.running == ("target",)
    assert "migration target: Domain started successsfully." in left.unseen
    assert left.printed[-6] == "** Migration failed during final handshake **"
    assert settle(left)[0] == ("source: xl destroy web--migratedaway",)


def test_a_cut_before_the_acknowledgement_leaves_an_outdated_copy_paused_at_the_target():
    left = break_at(Step.ACKNOWLEDGE, Failure.LINK_CUT)
    assert (left.running, left.target, left.target_name) == (("source",), Copy.OUTDATED, "web--incoming")
    assert settle(left)[0] == ("target: xl destroy web--incoming",)


def test_a_target_without_memory_says_so_and_the_source_goes_on():
    left = break_at(Step.RESERVE, Failure.TARGET_OUT_OF_MEMORY)
    assert left.printed[-4:] == (
        "failed to free memory for the domain",
        "migration target: Domain creation failed (code -3).",
        "migration sender: libxl_domain_suspend failed (rc=-3)",
        "Migration failed, resuming at sender.",
    )


def test_a_guest_that_ignores_the_request_was_never_stopped():
    left = break_at(Step.SUSPEND, Failure.GUEST_STAYS)
    assert left.running == ("source",)
    assert left.printed[-1] == "Migration failed, failed to suspend at sender."


def test_impossible_failures_and_finished_migrations_are_refused():
    with pytest.raises(MigrationError, match=r"step\(=CONNECT\) must be one of SUSPEND for GUEST_STAYS"):
        break_at(Step.CONNECT, Failure.GUEST_STAYS)
    with pytest.raises(MigrationError, match="migration of 'web' must not have ended"):
        advance(walk()[-1])
