"""Chapter 12 under a reader's hands: chains and first writes are stepped through, the gauge answers its sliders."""

import pytest
from playwright.sync_api import expect


@pytest.fixture(scope="module")
def storage(new_reader):
    """A reader for whom 12_storage has run once."""
    reader = new_reader()
    reader.open("chapters/12_storage.ipynb")
    reader.run_all()
    reader.theme("Light")
    return reader


def depth(token):
    """How far below the top of its drawing a token is, wherever the page has been scrolled to."""
    return token.evaluate(
        "token => token.getBoundingClientRect().top - token.closest('svg').getBoundingClientRect().top"
    )


def test_a_first_write_is_stepped_through(storage):
    story = storage.page.locator(".xl-story").first
    story.scroll_into_view_if_needed()
    token = story.locator(".token")
    expect(story.locator(".count")).to_have_text("1 of 22")
    expect(token).not_to_have_class("token shown")
    story.focus()
    storage.page.keyboard.press("ArrowRight")
    expect(token).to_have_class("token shown")
    before = depth(token)
    storage.page.keyboard.press("ArrowRight")
    storage.page.wait_for_timeout(900)  # it moves for 0.7 s
    assert depth(token) > before + 50  # the old contents went down to the store
    storage.screenshot("storage-copied", story)
    story.get_by_label("Moment", exact=True).fill("14")
    chunk = story.locator("[data-word=web-2]"), story.locator("[data-word=monday-2]")
    expect(chunk[0]).to_have_text("b")
    expect(chunk[1]).to_have_text("C")  # Monday's
    storage.screenshot("storage-two-disks", story)
    storage.page.keyboard.press("End")
    expect(story.locator(".lost")).to_have_count(8)
    storage.screenshot("storage-lost", story)
    assert storage.complaints == []


def test_a_chain_shows_who_serves_a_block(storage):
    chain = storage.page.locator(".xl-story").nth(1)
    chain.scroll_into_view_if_needed()
    chain.get_by_label("Moment", exact=True).fill("4")
    expect(chain.locator(".asked")).to_have_count(2)
    expect(chain.locator(".xl-caption")).to_contain_text("3 look-ups")
    storage.screenshot("storage-asked", chain)
    chain.get_by_label("Moment", exact=True).fill("3")
    expect(chain.locator(".asked")).to_have_count(0)
    assert storage.complaints == []


def test_the_gauge_answers_its_sliders(storage):
    gauge = storage.page.locator(".xl-gauge")
    gauge.scroll_into_view_if_needed()
    expect(gauge.locator("[role=status]")).to_contain_text("is 93.3 % full")
    gauge.get_by_label("Room for copies").fill("20")
    expect(gauge.locator("[role=status]")).to_contain_text("has run full and is lost")
    storage.screenshot("storage-full", gauge)
    gauge.get_by_label("Written to the volume").fill("4")
    expect(gauge.locator("[role=status]")).to_contain_text("% full")
    gauge.get_by_label("Where the writes go").select_option("in order")
    expect(gauge.locator("[role=status]")).to_contain_text("4 MiB written in order")
    assert storage.complaints == []
