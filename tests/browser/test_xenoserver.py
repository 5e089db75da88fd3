"""The XenoServer chapter under a reader's hands: a session stepped through, prices moved, stages and rings chosen."""

import pytest
from playwright.sync_api import expect


@pytest.fixture(scope="module")
def xeno(new_reader):
    """A reader for whom 09_xenoserver has run once."""
    reader = new_reader()
    reader.open("chapters/09_xenoserver.ipynb")
    reader.run_all()
    reader.theme("Light")
    return reader


def test_a_message_goes_from_box_to_box(xeno):
    story = xeno.page.locator(".xl-session")
    expect(story.locator(".lit")).to_have_count(0)
    story.get_by_label("Moment", exact=True).fill("8")
    expect(story.locator(".lit")).to_have_count(2)
    expect(story.locator(".arrow")).to_have_count(1)
    expect(story).to_contain_text("is order 1 good?")
    expect(story).to_contain_text("order 1: 300 cents")
    xeno.screenshot("session-order", story)
    story.get_by_label("One moment on").click()
    story.get_by_label("One moment on").click()
    expect(story.locator(".lit")).to_have_count(1)
    expect(story).to_contain_text("7168 MiB free")
    xeno.screenshot("session-domain", story)
    assert xeno.complaints == []


def test_prices_that_follow_the_load_even_it_out_at_once(xeno):
    market = xeno.page.locator(".xl-market")
    loads = market.locator("td.number:nth-child(3)")

    def spread():
        values = [int(text.removesuffix(" %")) for text in loads.all_inner_texts()]
        return max(values) - min(values)

    before = spread()
    market.get_by_label("A full server asks more, by").fill("2")
    expect(market).to_contain_text("200 %")
    expect(loads.nth(2)).not_to_have_text("77 %")
    assert spread() < before / 2
    xeno.screenshot("market-elastic", market)


def test_a_stage_shows_its_lines_of_the_log(xeno):
    boot = xeno.page.locator(".xl-boot")
    boot.get_by_role("button", name="dom0 is built").click()
    now = boot.locator(".line.now")
    expect(now.filter(has_text="Dom0 kernel: 64-bit")).to_be_visible()
    expect(boot.locator(".xl-caption")).to_contain_text("Xen makes the first domain by itself")
    xeno.screenshot("boot-dom0", boot)
    boot.focus()
    xeno.page.keyboard.press("ArrowRight")
    expect(boot.locator(".line.now").filter(has_text="Scrubbing Free RAM")).to_be_visible()
    assert xeno.complaints == []


def test_every_kind_of_guest_shows_its_rings(xeno):
    rings = xeno.page.locator(".xl-privileges")
    for name in ("no hypervisor", "PV, 64 bits", "HVM", "PVH"):
        rings.get_by_role("tab", name=name, exact=True).click()
        expect(rings.locator(".words h3")).to_have_text(name)
        xeno.screenshot(f"rings-{name.replace(', ', '-').replace(' ', '-')}", rings)
    assert xeno.complaints == []
