"""A reader plays a schedule, moves its sliders and chooses another scheduler; shares and picture follow."""

import pytest
from playwright.sync_api import expect

from tests.browser.test_chapters import CLIPPED


@pytest.fixture(scope="module")
def scheduling(new_reader):
    """A reader for whom 16_scheduling has run once."""
    reader = new_reader()
    reader.open("chapters/16_scheduling.ipynb")
    reader.run_all()
    reader.theme("Light")
    expect(reader.page.locator(".xl-whatif").first).to_be_visible()
    return reader


def test_a_weight_slider_changes_shares_and_picture(scheduling):
    what_if = scheduling.page.locator(".xl-whatif").first
    shares = what_if.locator(".number")
    expect(shares.first).to_have_text("50.0 %")
    slider = what_if.get_by_label("Weight of web")
    slider.focus()
    for _ in range(2):
        scheduling.page.keyboard.press("ArrowRight")  # 256, 384, 512
    expect(what_if.locator("output").first).to_have_text("512")
    expect(shares.first).to_have_text("66.5 %")
    expect(what_if.locator(".xl-schedule .bar").first).to_be_attached()
    scheduling.screenshot("whatif-weight", what_if)
    assert scheduling.complaints == []


def test_a_cap_parks_and_another_scheduler_takes_over(scheduling):
    what_if = scheduling.page.locator(".xl-whatif").first
    what_if.get_by_label("Cap of web").fill("25")
    expect(what_if.locator(".number").first).to_have_text("25.0 %")
    scheduling.screenshot("whatif-cap", what_if)
    what_if.get_by_label("Scheduler").select_option("BVT (2003)")
    expect(what_if.get_by_label("Cap of web")).to_be_disabled()
    expect(what_if.locator(".number").first).to_contain_text("66.")
    what_if.get_by_label("Scheduler").select_option("credit2")
    expect(what_if.get_by_label("Cap of web")).to_be_enabled()
    scheduling.screenshot("whatif-credit2", what_if)
    assert scheduling.page.evaluate(CLIPPED) == []
    assert scheduling.complaints == []


def test_it_plays_and_steps(scheduling):
    what_if = scheduling.page.locator(".xl-whatif").nth(1)
    count, caption = what_if.locator(".count"), what_if.locator(".xl-caption")
    expect(count).to_have_text("49 of 49")
    what_if.get_by_label("First moment").click()
    expect(caption).to_contain_text("0 ms.")
    what_if.get_by_label("One moment on").click()
    expect(count).to_have_text("2 of 49")
    expect(caption).to_contain_text("10 ms.")
    scheduling.screenshot("whatif-playing", what_if)
    what_if.get_by_role("button", name="Play").click()
    expect(count).to_have_text("5 of 49", timeout=5000)
    what_if.get_by_role("button", name="Pause").click()
    assert scheduling.complaints == []
