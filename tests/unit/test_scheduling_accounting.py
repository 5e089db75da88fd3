"""Credits are given out as `csched_acct` does: by weight, up to what each can use, the surplus to the others."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenlab.scheduling.accounting import Claim, share_below_peaks, share_credits

# From a transcription of csched_acct (credit.c, 4.17): pCPUs; (weight, active vCPUs, cap) of each domain; credits of
# each vCPU.
GRANTS = [
    (1, [(256, 1, 0), (512, 1, 0)], [100, 200]),
    (1, [(256, 1, 50), (256, 1, 0)], [150, 150]),
    (2, [(256, 1, 0), (256, 1, 0)], [300, 300]),
    (2, [(256, 1, 0), (256, 2, 0)], [200, 200]),
    (2, [(512, 1, 0), (256, 1, 0), (256, 2, 0)], [240, 120, 120]),
]


@pytest.mark.parametrize(("pcpus", "claims", "expected"), GRANTS)
def test_the_grant_table(pcpus, claims, expected):
    grants = share_credits([Claim(*claim) for claim in claims], 300 * pcpus, 300)
    assert [credits for credits, _ in grants] == expected


def test_a_surplus_goes_to_those_who_come_after_and_marks_those_who_came_too_late():
    capped, free = Claim(256, 1, 20), Claim(256, 1, 0)
    assert share_credits([capped, free], 300, 300) == [(60, False), (240, False)]
    assert share_credits([free, capped], 300, 300) == [(150, False), (60, True)]


def test_a_debt_is_given_out_on_top():
    assert share_credits([Claim(256, 1, 0), Claim(256, 1, 0)], 300, 300, debt=100) == [(200, False)] * 2


claims = st.lists(
    st.builds(
        Claim, st.sampled_from([1, 256, 512, 65535]), st.integers(1, 4), st.sampled_from([0, 0, 30, 100])
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=50, deadline=None)
@given(claims, st.integers(1, 16), st.integers(0, 2000))
def test_what_is_given_out_is_what_there_is_but_for_rounding_and_peaks(claims, pcpus, debt):
    given_out = share_credits(claims, 300 * pcpus, 300, debt)
    total = sum(credits * claim.vcpus for (credits, _), claim in zip(given_out, claims, strict=True))
    assert total <= 300 * pcpus + debt + sum(claim.vcpus + 2 for claim in claims)
    for (credits, _), claim in zip(given_out, claims, strict=True):
        if claim.cap:
            assert credits * claim.vcpus < 3 * claim.cap + claim.vcpus


@settings(max_examples=50, deadline=None)
@given(claims, st.integers(1, 16), st.integers(0, 2000))
def test_where_nobody_has_a_surplus_the_short_cut_gives_the_same(claims, pcpus, debt):
    short = share_below_peaks(Counter(claims), 300 * pcpus, 300, debt)
    if short is not None:
        assert [(short[claim], False) for claim in claims] == share_credits(claims, 300 * pcpus, 300, debt)
