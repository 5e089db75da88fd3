"""Chapters 03 and 04 under the reader's hands: machines are stepped, monitors called, sliders moved."""

import pytest
from playwright.sync_api import expect

from tests.browser.test_chapters import CLIPPED


def opened(new_reader, chapter):
    reader = new_reader()
    reader.open(f"chapters/{chapter}.ipynb")
    reader.run_all()
    reader.theme("Light")
    return reader


@pytest.fixture(scope="module")
def emulation(new_reader):
    return opened(new_reader, "03_emulation")


@pytest.fixture(scope="module")
def fullvirt(new_reader):
    return opened(new_reader, "04_full_virtualization")


def in_both_themes(reader, name, widget):
    for theme in ("Light", "Dark"):
        reader.theme(theme)
        reader.screenshot(f"{name}-{theme.lower()}", widget)
        assert reader.page.evaluate(CLIPPED) == []
    reader.theme("Light")


def go(widget, moment):
    widget.get_by_label("Moment", exact=True).fill(str(moment))
    expect(widget.locator(".xl-controls .count")).to_contain_text(f"{moment + 1} of ")


def test_a_program_is_stepped_and_its_last_step_is_the_halt(emulation):
    stepper = emulation.page.locator(".xl-stepper").nth(0)
    stepper.scroll_into_view_if_needed()
    expect(stepper.locator(".count")).to_have_text("1 of 35")
    stepper.get_by_label("One moment on").click()
    expect(stepper.locator(".now")).to_contain_text("lw r3, [r0+7]")
    expect(stepper.locator(".changed")).to_have_text(["r310"])
    go(stepper, 20)
    in_both_themes(emulation, "stepper", stepper)
    stepper.focus()
    emulation.page.keyboard.press("End")
    expect(stepper.locator(".now")).to_contain_text("halt")
    expect(stepper.locator(".register", has_text="r2")).to_have_text("r255")
    assert emulation.complaints == []


def test_the_serial_port_shows_what_was_written_to_it(emulation):
    for number, text in ((1, "Xen"), (2, "XenlabNibble")):
        stepper = emulation.page.locator(".xl-stepper").nth(number)
        stepper.scroll_into_view_if_needed()
        stepper.focus()
        emulation.page.keyboard.press("End")
        expect(stepper.locator(".console")).to_have_text(text)
        go(stepper, 14)
        in_both_themes(emulation, f"stepper-console-{number}", stepper)
    assert emulation.complaints == []


def test_a_translator_decodes_each_block_once(emulation):
    for number, last in ((0, "12 of 12"), (1, "4 of 4")):
        translating = emulation.page.locator(".xl-translating").nth(number)
        translating.scroll_into_view_if_needed()
        go(translating, 2)
        expect(translating.locator(".source")).to_contain_text("def block")
        in_both_themes(emulation, f"translating-{number}", translating)
        translating.focus()
        emulation.page.keyboard.press("End")
        expect(translating.locator(".count")).to_have_text(last)
        expect(translating.locator(".source")).to_contain_text("interpreted")
        expect(translating.locator(".value")).to_have_text(["10", "34"])
    assert emulation.complaints == []


def test_a_monitor_is_called_and_the_guest_ends_well(fullvirt):
    for number, total in ((0, 431), (1, 66)):
        monitored = fullvirt.page.locator(".xl-monitored").nth(number)
        monitored.scroll_into_view_if_needed()
        monitored.get_by_label("One moment on").click()
        go(monitored, 40)
        in_both_themes(fullvirt, f"monitored-{number}", monitored)
        monitored.focus()
        fullvirt.page.keyboard.press("End")
        expect(monitored.locator(".console")).to_have_text("Nib OS\nAaBbCcDdEeFf")
        counts = [int(text) for text in monitored.locator(".value").all_inner_texts()]
        assert sum(counts) == total
    assert fullvirt.complaints == []


def test_the_shadow_fills_page_by_page(fullvirt):
    shadow = fullvirt.page.locator(".xl-shadow")
    shadow.scroll_into_view_if_needed()
    go(shadow, 7)
    expect(shadow.locator(".lit")).to_have_count(1)
    in_both_themes(fullvirt, "shadow", shadow)
    shadow.focus()
    fullvirt.page.keyboard.press("End")
    assert "–" not in " ".join(shadow.locator("td.shadow").all_inner_texts())
    assert fullvirt.complaints == []


def test_sliders_change_the_walk_at_once(fullvirt):
    walk = fullvirt.page.locator(".xl-walk")
    walk.scroll_into_view_if_needed()
    expect(walk.locator(".count-line")).to_contain_text("4 + 4 + 4 · 4 = 24 memory references")
    walk.focus()
    fullvirt.page.keyboard.press("End")
    expect(walk.locator(".cell.done")).to_have_count(24)
    in_both_themes(fullvirt, "walk", walk)
    walk.get_by_label("Levels of the nested table").fill("0")
    expect(walk.locator(".count-line")).to_contain_text("4 memory references")
    expect(walk.locator(".count").last).to_have_text("1 of 5")
    walk.get_by_label("Levels of the guest’s table").fill("2")
    walk.get_by_label("Levels of the nested table").fill("3")
    expect(walk.locator(".count-line")).to_contain_text("2 + 3 + 2 · 3 = 11 memory references")
    walk.get_by_label("One moment on").click()
    expect(walk.locator(".cell.now")).to_have_count(1)
    in_both_themes(fullvirt, "walk-small", walk)
    assert fullvirt.complaints == []
