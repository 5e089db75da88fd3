"""Chapter 14 under a reader's hands: pages go over in rounds, knobs answer, a migration breaks, records explain."""

import pytest
from playwright.sync_api import expect

DRAWINGS = "svg.xl-move"


@pytest.fixture(scope="module")
def migration(new_reader):
    """A reader for whom 14_migration has run once."""
    reader = new_reader()
    reader.open("chapters/14_migration.ipynb")
    reader.run_all()
    reader.theme("Light")
    expect(reader.page.locator(".xl-whatif").first).to_be_visible()
    return reader


def test_all_lettering_stays_in_its_drawing(migration):
    assert migration.lettering_outside(DRAWINGS) == []


def test_pages_reach_the_target_round_after_round(migration):
    story = migration.page.locator(".xl-frames").first
    story.scroll_into_view_if_needed()
    caption = story.locator(".xl-caption")
    expect(caption).to_contain_text("the target has nothing yet")
    story.focus()
    for _ in range(8):
        migration.page.keyboard.press("ArrowRight")
    expect(caption).to_contain_text("Round")
    migration.screenshot("migration-pages", story)
    migration.page.keyboard.press("End")
    expect(caption).to_contain_text("Stop and copy")
    expect(story.locator(".stage")).to_contain_text("only at the source: 0")
    assert migration.lettering_outside(DRAWINGS) == []
    assert migration.complaints == []


def test_rate_and_downtime_sliders_change_the_rounds(migration):
    rounds = migration.page.locator(".xl-whatif").first
    rounds.scroll_into_view_if_needed()
    told = rounds.locator("[role=status]")
    expect(told).to_contain_text("stood still for 60 ms")
    rounds.get_by_role("slider", name="Guest writes").fill("5")  # the sixth position: 100 MiB/s
    expect(told).to_contain_text("stood still for 94 ms")
    rounds.get_by_label("Rule", exact=True).select_option("QEMU")
    expect(told).to_contain_text("1 live round,")
    rounds.get_by_role("slider", name="QEMU may stop it for").fill("1")  # 30 ms
    expect(told).to_contain_text("the rest goes over in 30 ms")
    migration.screenshot("migration-rounds", rounds)
    rounds.get_by_role("slider", name="Link").fill("0")
    expect(told).to_contain_text("after 29 rounds the rest still needs")
    assert migration.lettering_outside(DRAWINGS) == []
    assert migration.complaints == []


def test_without_a_shared_disk_live_is_not_possible(migration):
    ways = migration.page.locator(".xl-whatif").nth(2)
    ways.scroll_into_view_if_needed()
    ways.get_by_label("Do both hosts reach the disk?").select_option("no")
    expect(ways.locator(".stage")).to_contain_text("not possible")
    migration.screenshot("migration-ways", ways)
    assert migration.lettering_outside(DRAWINGS) == []
    assert migration.complaints == []


def test_a_cut_at_the_worst_moment_ends_with_the_administrator(migration):
    story = migration.page.locator(".xl-frames").last
    story.scroll_into_view_if_needed()
    story.focus()
    migration.page.keyboard.press("End")
    expect(story.locator(".xl-caption")).to_contain_text("xl unpause web")
    migration.screenshot("migration-settled", story)
    assert migration.complaints == []


def test_a_record_says_what_it_is_for(migration):
    stream = migration.page.locator(".xl-stream")
    stream.scroll_into_view_if_needed()
    stream.locator("[data-told]", has_text="HVM_CONTEXT").click()
    expect(stream.locator("[role=status]")).to_contain_text("registers and virtual devices")
    migration.screenshot("migration-stream", stream)
    assert migration.complaints == []
