"""Chapter 13 under a reader's hands: frames are stepped through and opened, machines show their tables."""

import pytest
from playwright.sync_api import expect


@pytest.fixture(scope="module")
def networking(new_reader):
    """A reader for whom 13_networking has run once."""
    reader = new_reader()
    reader.open("chapters/13_networking.ipynb")
    reader.run_all()
    reader.theme("Light")
    return reader


def test_a_frame_is_opened_and_a_machine_shows_its_tables(networking):
    picture = networking.page.locator(".xl-frames").first
    picture.scroll_into_view_if_needed()
    picture.focus()
    networking.page.keyboard.press("ArrowRight")
    expect(picture.locator(".frame text")).to_have_text("ARP")
    expect(picture.locator(".cable.lit")).to_have_count(1)
    expect(picture.locator("details")).to_have_count(2)
    picture.get_by_role("button", name="Tables of dom0").click()
    expect(picture.locator(".opened")).to_contain_text("xenbr0 has learnt")
    networking.screenshot("networking-tables", picture)
    networking.page.keyboard.press("End")
    expect(picture.locator(".opened summary").first).to_have_text("Ethernet")
    networking.page.wait_for_timeout(900)
    networking.screenshot("networking-frame", picture)
    assert networking.complaints == []


def test_three_ways_fill_side_by_side(networking):
    ways = networking.page.locator(".xl-ways")
    ways.scroll_into_view_if_needed()
    expect(ways.locator("li")).to_have_count(0)
    ways.focus()
    networking.page.keyboard.press("ArrowRight")
    expect(ways.locator("li")).to_have_count(3)
    networking.page.keyboard.press("End")
    assert ways.locator("li").count() > 12
    networking.screenshot("networking-ways", ways)
    assert networking.complaints == []
