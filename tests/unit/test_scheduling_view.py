"""The what-if answers its sliders with the model's run and says so in words; the figures carry their numbers."""

import itertools
import re
import time

import pandas as pd
import pytest

from xenlab.scheduling import (
    Blocking,
    BvtParameters,
    Credit2Parameters,
    CreditParameters,
    Domain,
    SchedulingError,
    SedfParameters,
    System,
    simulate,
)
from xenlab.scheduling.view import (
    SCHEDULERS,
    SPAN_MS,
    STEP_MS,
    WhatIf,
    fidelity_figure,
    show_fidelity,
    show_shares,
)
from xenlab.scheduling.view_chart import HEADING, LANE, LEFT, RIGHT, WIDTH, draw
from xenlab.scheduling.view_words import told
from xenlab.ui.text import to_plain

TWO = System((Domain("web"), Domain("db")), pcpus=1)


def rectangles(svg):
    pattern = r"class='bar' x='([\d.]+)' y='([\d.]+)' width='([\d.]+)'"
    return [tuple(map(float, found)) for found in re.findall(pattern, svg)]


def test_every_bar_of_the_run_is_drawn_once_at_its_time():
    run = simulate(TWO, 0.3)
    drawn = rectangles(draw(run))
    assert len(drawn) == len(run.bars)
    for bar, (x, _, width) in zip(run.bars, drawn, strict=True):
        assert x == pytest.approx(LEFT + (RIGHT - LEFT) * bar.start / 300e6, abs=0.1)
        assert width == pytest.approx((RIGHT - LEFT) * (bar.end - bar.start) / 300e6, abs=0.7)


def test_a_vcpu_has_a_lane_on_each_pcpu_that_it_may_use_and_on_no_other():
    svg = draw(simulate(System((Domain("web", cpus=(1,)), Domain("db", vcpus=2)), 2), 0.1))
    assert svg.count(">web.0</text>") == 1 + 1  # its lane, and its line of credit
    assert svg.count(">db.1</text>") == 2 + 1


def test_on_one_pcpu_bars_never_overlap():
    drawn = sorted(rectangles(draw(simulate(TWO, 0.3))))
    for (x, _, width), (following, _, _) in itertools.pairwise(drawn):
        assert x + width <= following + 0.11


@pytest.mark.parametrize(
    "parameters", [CreditParameters(), Credit2Parameters(), BvtParameters(), SedfParameters()]
)
def test_lines_of_credit_stay_in_the_picture_and_names_do_not_lie_on_each_other(parameters):
    names = tuple(Domain(f"d{i}", workload=Blocking(3, 5)) for i in range(5))
    svg = draw(simulate(System(names, 1, parameters), 0.48))
    height = float(re.search(rf"viewBox='0 0 {WIDTH} (\d+)'", svg)[1])
    for points in re.findall(r"points='([^']*)'", svg):
        for x, y in (map(float, point.split(",")) for point in points.split()):
            assert LEFT <= x <= RIGHT
            assert HEADING + 5 * LANE <= y <= height
    ends = sorted(float(y) for y in re.findall(rf"<text x='{RIGHT + 6}' y='([\d.]+)'", svg))
    assert len(ends) == 5
    assert all(b - a >= 11.9 for a, b in itertools.pairwise(ends))


def test_captions_tell_who_runs_and_what_the_scheduler_did():
    captions = [to_plain(text) for text in told(simulate(TWO, 0.09), 10)]
    assert len(captions) == 10
    assert captions[0] == "0 ms. pCPU 0 runs web.0, which has 0 credits."
    assert captions[1] == "10 ms. pCPU 0 runs web.0, which has -100 credits."
    assert any("Credits were given out: web.0 now" in caption for caption in captions)


def test_captions_tell_of_parking_boosting_and_stealing():
    capped = " ".join(told(simulate(System((Domain("web", cap=30),), 1), 0.4), 10))
    assert "`web.0` has used up its cap and is parked" in capped
    assert "pCPU 0 is idle" in capped
    waking = System((Domain("web"), Domain("io", workload=Blocking(2, 13))), 1)
    assert "`io.0` woke up and went ahead (BOOST)" in " ".join(told(simulate(waking, 0.5), 10))
    three = System((Domain("a"), Domain("b"), Domain("c", workload=Blocking(5, 7))), 2)
    assert "nother pCPU took" in " ".join(told(simulate(three, 0.5), 10))


def test_the_widget_has_a_caption_and_a_place_for_every_moment():
    what_if = WhatIf(TWO)
    assert len(what_if.captions) == len(what_if.xs) == SPAN_MS // STEP_MS + 1
    assert what_if.moment == len(what_if.captions) - 1, "all of it is seen before somebody plays it"
    assert what_if.xs[0] == LEFT
    assert what_if.xs[-1] == RIGHT


def test_moving_a_slider_changes_picture_shares_and_captions():
    what_if = WhatIf(TWO)
    before = what_if.svg, what_if.captions
    assert what_if.set("web", weight=512) == "web 66.5 %, db 33.5 % of a pCPU (simulated)"
    assert what_if.svg != before[0]
    assert what_if.captions != before[1]
    assert what_if.system.domains[0].weight == 512
    assert "web 25.0 %, db 75.0 %" in what_if.set("web", cap=25)


def test_the_page_moves_the_same_sliders():
    what_if = WhatIf(TWO)
    what_if.knobs = [{"name": "web", "weight": 1024, "cap": 0}, {"name": "db", "weight": 256, "cap": 0}]
    assert what_if.shares[0]["predicted"] == pytest.approx(0.75, abs=0.02)
    what_if.scheduler = "credit2"
    assert what_if.shares[0]["predicted"] == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_scheduler_shares_by_weight(scheduler):
    what_if = WhatIf(TWO)
    what_if.set("web", weight=512, scheduler=scheduler)
    assert what_if.shares[0]["predicted"] == pytest.approx(2 / 3, abs=0.02)


def test_bvt_has_no_caps_and_says_so():
    what_if = WhatIf(TWO)
    what_if.set("web", cap=20, scheduler="BVT (2003)")
    assert not what_if.capped
    assert what_if.shares[0]["predicted"] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("web", {"weight": 0}, "weight(=0) must be from 1 to 65535"),
        ("web", {"cap": 101}, "cap(=101) must be from 0"),
        ("web", {"scheduler": "fair"}, "scheduler(='fair') must be one of: credit, credit2"),
        ("mail", {"weight": 1}, "name(='mail') must be one of these domains: web, db"),
    ],
)
def test_a_wrong_value_is_told_and_changes_nothing(name, change, message):
    what_if = WhatIf(TWO)
    before = what_if.describe()
    with pytest.raises(SchedulingError, match=re.escape(message)):
        what_if.set(name, **change)
    assert what_if.describe() == before


def test_measured_shares_stand_beside_predicted_ones():
    what_if = WhatIf(TWO, measured={"web": 0.49, "db": 0.51}, simulated=True)
    assert [share["measured"] for share in what_if.shares] == [0.49, 0.51]
    assert "(49.0 % on the simulated host)" in what_if.describe()
    assert "(49.0 % measured)" in WhatIf(TWO, measured={"web": 0.49}).describe()


def test_without_a_front_end_it_is_a_picture_and_words():
    data, _ = WhatIf(TWO)._repr_mimebundle_()
    assert "<svg" in data["text/html"]
    assert data["text/plain"].startswith("credit: web weight 256, db weight 256\nweb ")


def test_a_what_if_is_quick_enough_for_a_slider():
    what_if = WhatIf(TWO)
    took = []
    for weight in (64, 128, 192, 384, 512):
        start = time.process_time()
        what_if.set("web", weight=weight)
        took.append(time.process_time() - start)
    assert min(took) < 0.06


def test_shares_are_shown_with_their_numbers_in_words(capsys):
    show_shares({"web": 0.667, "db": 0.333}, pd.Series({"web": 0.66, "db": 0.34}), simulated=False)
    said = capsys.readouterr().out
    assert "predicted by the model, and measured on Xen: web 66.7 % and 66.0 %; db 33.3 % and 34.0 %." in said
    show_shares({"web": 0.667}, {"web": 0.66}, simulated=True)
    assert "on the simulated host" in capsys.readouterr().out


def test_the_fidelity_figure_says_how_far_model_and_xen_are_apart(capsys):
    table = pd.DataFrame(
        {
            "scheduler": ["credit", "credit2"],
            "pCPUs": [1, 2],
            "configuration": ["a", "b"],
            "predicted": [50.0, 100.0],
            "measured": [49.5, 102.0],
            "error": [-0.5, 2.0],
        }
    )
    _, described = fidelity_figure(table)
    assert "the median difference is 1.2 percentage points, the largest 2.0" in described
    show_fidelity(table)
    assert "2 guests in 2 configurations" in capsys.readouterr().out
