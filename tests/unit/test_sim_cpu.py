"""CPU time is shared by weight, within caps and affinities, and none is wasted."""

from hypothesis import given, settings
from hypothesis import strategies as st

from xenlab.hosts.sim.cpu import CpuClaim, share_cpus

PCPUS = 3


def claim(domid, vcpu=0, demand=1.0, weight=256, cap=0, affinity=range(PCPUS)):
    return CpuClaim((domid, vcpu), demand, weight, cap, frozenset(affinity))


def seconds(claims, pcpus=PCPUS, interval=30.0):
    grants = share_cpus(claims, pcpus, 0.0, interval)
    return {vcpu: round(grant.seconds, 6) for vcpu, grant in grants.items()}


def rates_of(claims):
    """The share of a pCPU that each vCPU gets, unrounded: rounded shares need not add up."""
    return {vcpu: grant.seconds for vcpu, grant in share_cpus(claims, PCPUS, 0.0, 1.0).items()}


def test_where_there_is_room_everyone_gets_what_it_asks_for():
    assert seconds([claim(1), claim(2, demand=0.5)]) == {(1, 0): 30.0, (2, 0): 15.0}


def test_on_one_pcpu_weights_decide():
    claims = [claim(1, weight=512, affinity=[0]), claim(2, weight=256, affinity=[0])]
    assert seconds(claims) == {(1, 0): 20.0, (2, 0): 10.0}


def test_a_domains_weight_is_divided_among_its_busy_vcpus():
    claims = [claim(1, vcpu) for vcpu in (0, 1)] + [claim(2)]
    assert seconds(claims, pcpus=1) == {(1, 0): 7.5, (1, 1): 7.5, (2, 0): 15.0}


def test_what_a_capped_domain_leaves_goes_to_the_others():
    claims = [claim(1, cap=20, affinity=[0]), claim(2, affinity=[0])]
    assert seconds(claims) == {(1, 0): 6.0, (2, 0): 24.0}


def test_a_pinned_vcpu_keeps_its_share_of_its_pcpu():
    assert seconds([claim(1, affinity=[0]), claim(2), claim(3)], pcpus=2) == {
        (1, 0): 20.0,
        (2, 0): 20.0,
        (3, 0): 20.0,
    }


def test_busy_vcpus_take_turns_on_their_pcpu():
    claims = [claim(1, affinity=[0]), claim(2, affinity=[0])]
    running = {
        vcpu
        for start in (0.0, 0.03)
        for vcpu, grant in share_cpus(claims, PCPUS, start, 0.001).items()
        if grant.running
    }
    assert running == {(1, 0), (2, 0)}


claims_strategy = st.lists(
    st.builds(
        claim,
        domid=st.integers(1, 3),
        vcpu=st.integers(0, 2),
        demand=st.sampled_from([0.0, 0.3, 1.0]),
        affinity=st.sets(st.integers(0, PCPUS - 1), min_size=1),
    ),
    max_size=6,
    unique_by=lambda claim: claim.vcpu,
)


@settings(max_examples=60)
@given(claims_strategy)
def test_nobody_gets_more_than_it_asks_and_no_pcpu_is_used_twice(claims):
    rates = rates_of(claims)
    assert all(0 <= rates[each.vcpu] <= each.demand + 1e-6 for each in claims)
    for pcpus in ({0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}, {0, 1, 2}):
        assert sum(rates[each.vcpu] for each in claims if each.affinity <= pcpus) <= len(pcpus) + 1e-6


@settings(max_examples=60)
@given(claims_strategy)
def test_a_vcpu_waits_only_where_all_its_pcpus_are_busy(claims):
    rates = rates_of(claims)
    for waiting in (each for each in claims if rates[each.vcpu] < each.demand - 1e-5):
        # Some set of pCPUs that holds all of its own is used up by those confined to it.
        assert any(
            waiting.affinity <= pcpus
            and sum(rates[each.vcpu] for each in claims if each.affinity <= pcpus) >= len(pcpus) - 1e-5
            for pcpus in ({0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}, {0, 1, 2})
        )
