"""The published migrations of NSDI'05 §6, simulated: data and time within 10 %, downtime within 25 %."""

import pytest

from xenlab.migration import nsdi05

SEEDS = range(5)
WITHIN = {"first round": 0.10, "all rounds": 0.10, "time": 0.10, "downtime": 0.25}


@pytest.mark.parametrize("seed", SEEDS)
def test_every_published_total_is_met(seed):
    table = nsdi05.comparison(seed=seed)
    for row in table.itertuples():
        assert abs(row.error) <= WITHIN[row.figure], (
            f"{row.experiment}, {row.figure}: {row.simulated:.4g} {row.unit}"
        )
    assert set(table.experiment) == set(nsdi05.EXPERIMENTS)
    assert (table.figure == "downtime").sum() == (table.figure == "time").sum() == 4


def test_all_four_rounds_of_mmuncher_follow_from_one_fitted_number():
    fitted = [
        each for each in nsdi05.PARAMETERS if (each.experiment, each.origin) == (nsdi05.MMUNCHER, "fitted")
    ]
    assert len(fitted) == 1
    rounds = nsdi05.round_table(nsdi05.MMUNCHER)
    assert len(rounds) == 4
    assert rounds["simulated MiB"].tolist() == pytest.approx(rounds["published MiB"].tolist(), rel=0.10)


def test_specweb_has_as_many_rounds_as_published_give_or_take_one_and_each_is_of_their_size():
    rounds = nsdi05.round_table(nsdi05.SPECWEB)
    published, simulated = rounds["published MiB"].dropna(), rounds["simulated MiB"].dropna()
    assert abs(len(published) - len(simulated)) <= 1
    both = min(len(published), len(simulated))
    assert simulated[: both - 1].tolist() == pytest.approx(published[: both - 1].tolist(), rel=0.45)


def test_quake_ends_because_little_is_left_and_in_about_as_many_rounds():
    for seed in SEEDS:
        move = nsdi05.reproduce(nsdi05.QUAKE, seed=seed)
        assert move.reason == "fewer than 256 KiB are left"
        assert 9 <= len(move.rounds) <= 14
        assert move.rounds[-1].sent * 4 < 300


def test_mmuncher_and_specweb_end_because_the_guest_cannot_be_outpaced():
    for experiment in (nsdi05.MMUNCHER, nsdi05.SPECWEB):
        assert nsdi05.reproduce(experiment).reason == "524 Mbit/s cannot outpace the guest"


def test_no_experiment_has_more_fitted_numbers_than_published_ones():
    for name, paper in nsdi05.EXPERIMENTS.items():
        fitted = [each for each in nsdi05.PARAMETERS if (each.experiment, each.origin) == (name, "fitted")]
        totals = [figure for figure in (paper.mib, paper.seconds, paper.downtime) if figure is not None]
        assert len(fitted) <= len(paper.rounds) + len(totals)
    assert {each.origin for each in nsdi05.PARAMETERS} == {"published", "derived", "sources", "fitted"}
