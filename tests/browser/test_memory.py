"""A reader walks addresses, asks Xen for page tables, inflates balloons, and sets what guests of a host shall have."""

import pytest
from playwright.sync_api import expect

from tests.browser.test_chapters import CLIPPED


@pytest.fixture(scope="module")
def memory(new_reader):
    """A reader for whom 15_memory has run once."""
    reader = new_reader()
    reader.open("chapters/15_memory.ipynb")
    reader.run_all()
    reader.theme("Light")
    expect(reader.page.locator(".xl-walk").first).to_be_visible()
    return reader


def test_an_address_is_walked_step_by_step_and_another_can_be_typed(memory):
    walk = memory.page.locator(".xl-walk").first
    caption, reads = walk.locator(".xl-caption"), walk.locator(".reads")
    for _ in range(4):
        walk.get_by_label("One moment on").click()
    expect(reads).to_have_text("4 reads of memory")
    expect(caption).to_contain_text("The L1 table is in frame")
    expect(walk.locator(".card.now")).to_contain_text("entry 3")
    walk.get_by_label("Last moment").click()
    expect(walk.locator(".card").last).to_contain_text("0x3123")
    memory.screenshot("memory-walk-end", walk)
    address = walk.get_by_label("Virtual address")
    address.fill("0x1000")
    walk.get_by_role("button", name="Walk").click()
    expect(walk.locator(".count")).to_have_text("1 of 3")
    walk.get_by_label("Last moment").click()
    expect(caption).to_contain_text("Page fault.")
    address.fill("web")
    walk.get_by_role("button", name="Walk").click()
    expect(walk.get_by_role("alert")).to_contain_text("must be a hexadecimal number")
    memory.screenshot("memory-walk-fault", walk)
    assert memory.page.evaluate(CLIPPED) == []
    assert memory.complaints == []


def test_a_pvh_guests_address_takes_24_reads(memory):
    walk = memory.page.locator(".xl-walk").nth(1)
    walk.get_by_label("Last moment").click()
    expect(walk.locator(".reads")).to_have_text("24 reads of memory")
    memory.screenshot("memory-walk-pvh", walk)
    assert memory.page.evaluate(CLIPPED) == []


def test_xen_refuses_a_writable_table_and_allows_a_clean_one(memory):
    desk = memory.page.locator(".xl-calls")
    ask, call = desk.get_by_role("button", name="Ask Xen"), desk.get_by_label("Call", exact=True)
    desk.get_by_role("button", name="New guest").click()
    expect(desk.locator(".log")).to_contain_text("Nothing has been asked yet.")
    desk.get_by_label("Page", exact=True).select_option("7")
    ask.click()
    expect(desk.locator(".answer").first).to_contain_text("-EBUSY")
    expect(desk.locator(".answer pre").first).to_contain_text("(XEN) Bad type (saw 2400000000000001")
    call.select_option("unmap")
    expect(desk.get_by_label("Page", exact=True)).to_be_hidden()
    desk.get_by_label("Entry", exact=True).select_option("0")
    ask.click()
    expect(desk.locator("tbody tr").first).to_contain_text("free for any use")
    call.select_option("pin")
    desk.get_by_label("Page", exact=True).select_option("0")
    ask.click()
    expect(desk.locator("tbody tr").first).to_contain_text("L1 page table, pinned")
    memory.screenshot("memory-desk", desk)
    assert memory.page.evaluate(CLIPPED) == []
    assert memory.complaints == []


def test_a_balloon_is_inflated_by_a_slider_and_plays_at_once(memory):
    board = memory.page.locator(".xl-balloon")
    slider = board.get_by_label("Target of db")
    board.get_by_label("Last moment").click()
    before = int(board.locator(".count").inner_text().split(" of ")[1])
    slider.focus()
    slider.press("PageDown")
    expect(board.locator(".count")).not_to_contain_text(f" of {before}")
    expect(board.locator(".play")).to_have_text("Pause")
    memory.screenshot("memory-balloon-playing", board)
    expect(board.locator(".play")).to_have_text("Play", timeout=15000)
    expect(board.locator(".guest").nth(1)).to_contain_text("has 5")
    has = board.locator(".guest").nth(1).locator(".number").inner_text()
    squares = board.locator(".machine .guest1").count()
    assert has.startswith(f"has {squares} MiB")
    board.get_by_label("First moment").click()
    expect(board.locator(".xl-caption")).to_contain_text("Each square is 1 MiB")
    assert memory.complaints == []


def test_a_balloon_is_shown_at_its_end_where_less_motion_is_asked_for(memory):
    board = memory.page.locator(".xl-balloon")
    memory.page.emulate_media(reduced_motion="reduce")
    board.get_by_label("First moment").click()
    board.get_by_label("Target of db").focus()
    board.get_by_label("Target of db").press("PageUp")
    expect(board.locator(".count")).not_to_contain_text("1 of ")
    shown, moments = board.locator(".count").inner_text().split(" of ")
    assert shown == moments
    expect(board.locator(".play")).to_have_text("Play")
    memory.page.emulate_media(reduced_motion="no-preference")


def test_a_hosts_squares_follow_the_slider(memory):
    board = memory.page.locator(".xl-board")
    board.scroll_into_view_if_needed()
    assert memory.ask("host.create(name='shop', memory=128).name") == "'shop'"
    board.get_by_role("button", name="Refresh").click()
    row = board.locator(".domain", has_text="shop")
    expect(row).to_contain_text("has 128 MiB")
    board.get_by_role("button", name="Let 10 s pass").click()  # it boots
    expect(board.locator(".machine .guest0")).to_have_count(128)
    slider = row.get_by_label("Target of shop")
    slider.focus()
    slider.press("PageDown")
    expect(board.locator(".status")).to_contain_text("Ran xl mem-set shop")
    expect(row).not_to_contain_text("has 128 MiB", timeout=15000)
    expect(row).to_contain_text(f"has {slider.input_value()} MiB")
    squares = board.locator(".machine .guest0").count()  # some squares are shared with what is free
    assert abs(squares - int(slider.input_value())) <= 2
    board.get_by_text("What was run in dom0").click()
    expect(board.locator(".xl-transcript")).to_contain_text("xl mem-set shop")
    memory.screenshot("memory-board", board)
    memory.theme("Dark")
    memory.screenshot("memory-board-dark", board)
    assert memory.page.evaluate(CLIPPED) == []
    assert memory.complaints == []
