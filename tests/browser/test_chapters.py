"""A reader opens the chapters in JupyterLab, runs them, presses what can be pressed, in both themes."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

THEMES = ("Light", "Dark")
CHAPTERS = sorted(path.stem for path in (Path(__file__).parents[2] / "chapters").glob("[0-9]*.ipynb"))

#: Elements of our widgets whose text does not fit them, and lettering of pictures that leaves them or overlaps.
CLIPPED = """() => {
  const found = [];
  for (const element of document.querySelectorAll('.xl, .xl *:not(svg *)')) {
    if (element.closest('.xl-transcript') || element.classList.contains('sr')) continue;
    if (element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).overflowX !== 'visible')
      found.push(`${element.className || element.tagName}: ${element.textContent.slice(0, 60)}`);
    const card = element.closest('.xl').getBoundingClientRect(), own = element.getBoundingClientRect();
    if (own.width && (own.right > card.right + 1 || own.left < card.left - 1))
      found.push(`outside its card: ${element.className || element.tagName}`);
  }
  for (const svg of document.querySelectorAll('.xl-life')) {
    const {width, height} = svg.viewBox.baseVal;
    const texts = [...svg.querySelectorAll('text')].filter((text) => text.textContent);
    const boxes = texts.map((text) => text.getBBox());
    boxes.forEach((a, i) => {
      if (a.x < 0 || a.y < 0 || a.x + a.width > width || a.y + a.height > height)
        found.push(`outside its picture: ${texts[i].textContent}`);
      boxes.slice(i + 1).forEach((b, j) => {
        if (a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height)
          found.push(`${texts[i].textContent} lies on ${texts[i + 1 + j].textContent}`);
      });
    });
  }
  return found;
}"""


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_runs_and_is_readable_in_both_themes(reader, chapter):
    reader.open(f"chapters/{chapter}.ipynb")
    reader.run_all()
    assert reader.errors() == []
    reader.theme("Light")
    reader.walk(chapter)
    for theme in THEMES:
        reader.theme(theme)
        assert reader.page.evaluate(CLIPPED) == []
        for number, widget in enumerate(reader.page.locator(".xl:not(.xl-quiz):not(.xl .xl)").all(), start=1):
            reader.screenshot(f"{chapter}-widget{number}-{theme.lower()}", widget)
    assert reader.complaints == []


@pytest.fixture(scope="module")
def domains(new_reader):
    """A reader for whom 10_domains has run once."""
    reader = new_reader()
    reader.open("chapters/10_domains.ipynb")
    reader.run_all()
    reader.theme("Light")
    expect(reader.page.locator(".xl-dashboard")).to_be_visible()
    return reader


def test_the_dashboards_buttons_move_domains_and_the_list_follows(domains):
    board = domains.page.locator(".xl-dashboard")
    row = board.locator("tbody tr", has_text="shop")
    lit = board.locator(".box.lit")
    status = board.locator(".status")

    def press(button):
        board.locator(f"[data-button={button}]").first.click()

    board.get_by_label("New domain").fill("shop")
    press("create")
    expect(row).to_be_visible()
    expect(status).to_contain_text("Ran xl create")
    expect(row).to_have_class("selected")
    domains.screenshot("dashboard-created", board)
    board.get_by_role("button", name="Let 10 s pass").click()  # it boots; before that it cannot be saved
    expect(status).to_contain_text("Done")

    press("pause")
    expect(row).to_contain_text("paused")
    expect(lit).to_have_attribute("data-state", "paused")
    expect(board.locator(".arrow.lit")).to_have_attribute("data-events", "pause")
    expect(board.locator(".xl-transcript")).to_contain_text("xl pause shop")
    assert domains.ask("host['shop'].state.value") == "'paused'"
    expect(board.locator(".xl-transcript .row").last).to_be_in_viewport()
    domains.screenshot("dashboard-paused", board)

    press("unpause")
    expect(row).not_to_contain_text("paused")
    press("save")
    expect(row).to_have_count(0)
    expect(lit).to_have_attribute("data-state", "saved")
    assert domains.ask("'shop' in host.domains().index") == "False"

    board.get_by_role("button", name="Restore shop").click()
    expect(row).to_be_visible()
    press("destroy")
    expect(row).to_have_count(0)
    domains.screenshot("dashboard-destroyed", board)
    assert domains.complaints == []


def test_a_button_that_fails_says_why_and_nothing_is_lost(domains):
    board = domains.page.locator(".xl-dashboard")
    before = board.locator("tbody tr").count()
    board.get_by_label("MiB").fill("8")
    board.get_by_role("button", name="Create").click()
    expect(board.locator(".status.failed")).to_contain_text("memory(=8) must be at least 16 MiB")
    expect(board.locator("tbody tr")).to_have_count(before)
    expect(board.get_by_label("MiB")).to_have_value("8")

    board.get_by_label("MiB").fill("90000")
    board.get_by_label("New domain").fill("huge")
    board.get_by_role("button", name="Create").click()
    expect(board.locator(".status.failed")).to_contain_text("xl create")
    expect(board.locator("tbody tr")).to_have_count(before)
    expect(board.locator(".xl-transcript .failed")).not_to_have_count(0)
    domains.screenshot("dashboard-failed", board)
    assert domains.page.evaluate(CLIPPED) == []
    assert domains.complaints == []


def test_a_press_is_heard_while_the_page_looks_at_the_host(domains):
    board = domains.page.locator(".xl-dashboard")
    board.get_by_label("New domain").fill("quick")
    board.get_by_label("MiB").fill("64")
    board.evaluate(
        """(board) => {
            board.querySelector("button[title='xl list']").click();
            board.querySelector("[data-button=create]").click();
        }"""
    )
    expect(board.locator("tbody tr", has_text="quick")).to_be_visible()
    expect(board.locator("[data-button=pause]")).to_be_enabled()


def test_the_table_follows_commands_from_cells_and_the_clock(domains):
    board = domains.page.locator(".xl-dashboard")
    board.scroll_into_view_if_needed()
    late = board.locator("tbody tr", has_text="late")
    domains.ask("host.create(name='late')")
    expect(late).to_be_visible(timeout=15_000)  # the page asks every 3 s
    domains.ask("host['late'].pause()")
    expect(late).to_contain_text("paused", timeout=15_000)


def test_a_story_plays_steps_and_scrubs_by_mouse_and_by_key(domains):
    story = domains.page.locator(".xl-story")
    count, lit = story.locator(".count"), story.locator(".box.lit")
    expect(count).to_have_text("1 of 15")
    story.get_by_label("One moment on").click()
    expect(lit).to_have_attribute("data-state", "runnable")
    story.focus()
    domains.page.keyboard.press("ArrowRight")
    expect(lit).to_have_attribute("data-state", "running")
    domains.page.keyboard.press("End")
    expect(count).to_have_text("15 of 15")
    story.get_by_label("Moment", exact=True).fill("8")
    expect(lit).to_have_attribute("data-state", "paused")
    story.get_by_role("button", name="Play").click()
    expect(count).to_have_text("11 of 15", timeout=10_000)
    story.get_by_role("button", name="Pause").click()
    stopped = count.inner_text()
    domains.page.wait_for_timeout(1800)
    expect(count).to_have_text(stopped)
    assert domains.complaints == []


def test_a_quiz_gives_feedback_for_every_option(domains):
    quiz = domains.page.locator(".xl-quiz").first
    quiz.scroll_into_view_if_needed()
    expect(quiz).to_be_visible()
    verdicts = []
    for radio in quiz.get_by_role("radio").all():
        radio.check()
        expect(quiz.locator(".feedback")).to_be_visible()
        verdicts.append(quiz.locator(".verdict").inner_text().strip())
    assert sorted(verdicts) == ["Not this one.", "Not this one.", "Right."]
    assert domains.complaints == []
