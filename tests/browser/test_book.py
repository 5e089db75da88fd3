"""The book as a web site: no link is broken, pictures play without a kernel, everybody can read it."""

import functools
import http.server
import threading
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from xenlab.book.build import build
from xenlab.book.links import check
from xenlab.book.site import BINDER, LOOK_UP

ROOT = Path(__file__).resolve().parents[2]
ARTEFACTS = ROOT / "artefacts"
CHAPTERS = sorted(path.stem for path in (ROOT / "chapters").glob("[0-9]*.ipynb"))
LABS = sorted(f"labs/{path.stem}" for path in (ROOT / "labs").glob("[0-9]*/[0-9]*.ipynb"))
PAGES = ["index", *CHAPTERS, *LABS, *LOOK_UP]
#: WCAG 2.2 A and AA, and the rules about headings and landmarks, which axe counts as good practice.
RULES = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    "rules": {
        rule: {"enabled": True}
        for rule in ("heading-order", "page-has-heading-one", "region", "landmark-unique", "skip-link")
    },
}
#: Press and turn all that can be pressed and turned in the widgets.
PRESS = """async () => {
  const usable = (element) => element.isConnected && !element.disabled;
  for (const control of document.querySelectorAll(".widget :is(button, input, select, [role=button])")) {
    if (!usable(control)) continue;
    if (control.matches("input[type=range]")) control.value = control.max;
    else if (control.matches("select")) control.selectedIndex = control.options.length - 1;
    if (control.matches("input[type=range], select"))
      for (const event of ["input", "change"]) control.dispatchEvent(new Event(event, {bubbles: true}));
    else control.dispatchEvent(new MouseEvent("click", {bubbles: true}));
    await new Promise(requestAnimationFrame);
  }
  for (const details of document.querySelectorAll("article details")) details.open = true;
  await new Promise((done) => setTimeout(done, 400));
}"""
PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 900}


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The site, built once for all tests."""
    out = tmp_path_factory.mktemp("book") / "site"
    build(out, ROOT)
    return out


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address(site):
    """Where the site is served, on 127.0.0.1."""
    handler = functools.partial(_Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def page(site, chromium, address):
    """A page whose every request must be answered by the site itself, and which may complain of nothing.

    The site is built before Chromium starts: running notebooks beside Playwright leaves event loops open.
    """
    complaints = []
    page = chromium.new_page()
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url}"))
    page.on(
        "response",
        lambda answer: answer.status >= 400 and complaints.append(f"{answer.status}: {answer.url}"),
    )
    page.on(
        "request",
        lambda request: (
            request.url.startswith((address, "data:")) or complaints.append(f"elsewhere: {request.url}")
        ),
    )
    page.set_viewport_size(DESK)
    yield page
    page.close()
    assert complaints == []


def wear(page, theme):
    """Ask for a theme as the reader's system does."""
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    expect(page.locator("html")).to_have_attribute("data-theme", theme)


def violations(page, rules=RULES):
    """What axe finds, a line for each element."""
    found = Axe().run(page, options=rules).response["violations"]
    return [
        f"{rule['id']}: {node['target']}: {node['html'][:120]}" for rule in found for node in rule["nodes"]
    ]


def test_no_link_is_broken(site):
    report = check(site)
    assert report.broken == []
    assert report.inside > 500
    assert not [link for link in report.outside if not link.startswith("https://")]


@pytest.mark.parametrize("name", PAGES)
def test_everybody_can_read_it_in_light_and_dark(page, address, name):
    """As it comes, and once more when every widget has been pressed all over, which must not ask for a kernel."""
    page.goto(f"{address}/{name}.html")
    for theme in ("light", "dark"):
        wear(page, theme)
        assert violations(page) == []
    places = page.locator(".widget:not([data-needs-kernel=':scope'])").count()
    assert page.locator(".widget .xl:not(.xl .xl)").count() == places
    if places:
        page.evaluate(PRESS)
        for theme in ("dark", "light"):
            wear(page, theme)
            assert violations(page) == []


def test_what_few_can_read_would_be_noticed(page):
    page.set_content(
        "<main><h1>a</h1><h3>b</h3><p style='color: #999; background: #fff'>pale</p><button></button></main>"
    )
    found = {line.split(":")[0] for line in violations(page)}
    assert {"color-contrast", "heading-order", "html-has-lang", "button-name"} <= found


@pytest.mark.parametrize("name", PAGES)
def test_it_fits_a_phone(page, address, name):
    page.set_viewport_size(PHONE)
    page.goto(f"{address}/{name}.html")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert violations(page, {"runOnly": ["scrollable-region-focusable"], "resultTypes": ["violations"]}) == []


def test_players_play_step_and_scrub_without_a_kernel(page, address):
    page.goto(f"{address}/10_domains.html")
    story = page.locator(".xl-story").first
    count, lit = story.locator(".count"), story.locator(".box.lit")
    expect(count).to_have_text("1 of 15")
    story.get_by_label("One moment on").click()
    expect(lit).to_have_attribute("data-state", "runnable")
    story.focus()
    page.keyboard.press("ArrowRight")
    expect(lit).to_have_attribute("data-state", "running")
    story.get_by_label("Moment", exact=True).fill("8")
    expect(lit).to_have_attribute("data-state", "paused")
    story.get_by_role("button", name="Play").click()
    expect(count).to_have_text("11 of 15", timeout=10_000)
    story.get_by_role("button", name="Pause").click()
    expect(story.get_by_role("button", name="Play")).to_be_visible()


def test_a_quiz_answers_every_choice_without_a_kernel(page, address):
    page.goto(f"{address}/10_domains.html")
    quiz = page.locator(".xl-quiz").first
    quiz.get_by_role("radio").first.focus()
    page.keyboard.press("Space")
    verdicts = [quiz.locator(".verdict").inner_text().strip()]
    for _ in quiz.get_by_role("radio").all()[1:]:
        page.keyboard.press("ArrowDown")
        verdicts.append(quiz.locator(".verdict").inner_text().strip())
    assert sorted(verdicts) == ["Not this one.", "Not this one.", "Right."]


def test_what_needs_a_kernel_shows_its_picture_and_says_where_one_is(page, address):
    page.goto(f"{address}/10_domains.html")
    dashboard = page.locator("#dashboard")
    expect(dashboard.locator(".still")).to_contain_text("Domain-0")
    expect(dashboard.locator("svg")).to_be_visible()
    expect(dashboard.get_by_role("link")).to_have_attribute("href", f"{BINDER}/chapters/10_domains.ipynb")
    dashboard.get_by_text("The same in words").click()
    expect(dashboard.locator(".words pre")).to_contain_text("Domain-0")


def test_it_opens_from_a_disk(chromium, site):
    page = chromium.new_page()
    complaints = []
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.goto((site / "16_scheduling.html").as_uri())
    what_if = page.locator(".xl-whatif").first
    what_if.get_by_label("First moment").click()
    expect(what_if.locator(".count")).to_contain_text("1 of")
    expect(what_if.get_by_label("Weight of web")).to_be_disabled()
    page.close()
    assert complaints == []


def test_words_are_found_in_both_languages(page, address):
    page.goto(f"{address}/index.html")
    page.get_by_role("searchbox").fill("anel requisicoes")  # without its accents
    page.keyboard.press("Enter")
    found = page.locator("#found li")
    expect(found.first.get_by_role("link")).to_have_attribute("href", "11_devices.html#ring")
    page.locator("#search").get_by_role("searchbox").fill("rounds dirty")
    expect(page.locator("#found")).to_contain_text("Migration")
    expect(page.locator("#found mark").first).to_be_visible()
    page.locator("#search").get_by_role("searchbox").fill("zyzzyva")
    expect(page.locator("#count")).to_have_text("No places found.")
    expect(found).to_have_count(0)


def test_the_theme_is_kept_from_page_to_page(page, address):
    page.emulate_media(color_scheme="light")
    page.goto(f"{address}/index.html")
    page.get_by_role("button", name="Dark page").click()
    page.goto(f"{address}/glossary.html")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.evaluate("localStorage.clear()")


@pytest.mark.parametrize(
    "name", ["index", "00_start_here", "02_concepts", "10_domains", "16_scheduling", "glossary"]
)
def test_it_is_looked_at(page, address, name):
    """Pictures for those who change the look, on a desk and on a phone, in light and in dark."""
    for size, theme in ((DESK, "light"), (PHONE, "dark")):
        page.set_viewport_size(size)
        page.emulate_media(color_scheme=theme)
        page.goto(f"{address}/{name}.html")
        ARTEFACTS.mkdir(exist_ok=True)
        page.screenshot(path=ARTEFACTS / f"book-{name}-{theme}.png", full_page=True)
        assert page.locator("h1").bounding_box()["width"] <= size["width"]


#: Note what moves in the widgets.
WATCH = """() => {
  window.stirred = new Set();
  const watch = new MutationObserver((changes) =>
    changes.forEach(({ target }) => {
      const element = target.nodeType === Node.ELEMENT_NODE ? target : target.parentElement;
      stirred.add(element?.closest(".xl")?.className ?? "what is gone again");
    }));
  for (const widget of document.querySelectorAll(".xl"))
    watch.observe(widget, { subtree: true, childList: true, attributes: true, characterData: true });
}"""
STIRRED = """() => {
  const running = document.getAnimations().filter((each) => each.playState === "running");
  return [...stirred, ...running.map((each) => each.effect.target.outerHTML.slice(0, 120))];
}"""
#: Step, play and pause every player; what it lacks, and how many there are. Each is left at its first moment, paused.
PLAYERS = """async () => {
  const faults = [], frame = () => new Promise(requestAnimationFrame);
  const players = document.querySelectorAll(".xl-controls .play");
  for (const play of players) {
    const root = play.closest(".xl"), name = root.className;
    const line = () => root.querySelector(".xl-caption[role=status]")?.textContent.trim();
    const count = () => root.querySelector(".count").textContent;
    const must = (holds, what) => { if (!holds) faults.push(`${name}: ${what}`); };
    const press = async (label) => {
      const button = root.querySelector(`button[aria-label="${label}"]`);
      must(button, `has no button "${label}"`);
      button?.click();
      await frame();
      must(line(), `has no line of text after "${label}"`);
      return count();
    };
    const last = await press("Last moment"), first = await press("First moment"), second = await press("One moment on");
    must(first !== last && second !== first, "does not step");
    must(await press("One moment back") === first, "does not step back");
    play.click();
    await frame();
    must(play.textContent === "Pause", "does not play");
    play.click();
    await frame();
    must(play.textContent === "Play", "cannot be paused");
    must(!document.getAnimations().length, "glides though less motion was asked for");
  }
  return [faults, players.length];
}"""
#: Milliseconds: longer than any player shows a moment.
LONG = 3000
#: Chapters without a moving picture.
STILL = ["00_start_here"]


@pytest.mark.parametrize("name", CHAPTERS)
def test_pictures_stand_still_until_asked_and_every_player_steps_and_pauses_and_says_what_it_shows(
    page, address, name
):
    page.emulate_media(reduced_motion="reduce")
    page.clock.install()
    page.goto(f"{address}/{name}.html")
    page.evaluate(WATCH)
    page.clock.run_for(LONG)
    assert page.evaluate(STIRRED) == []
    faults, players = page.evaluate(PLAYERS)
    assert faults == []
    assert bool(players) is (name not in STILL)
    page.evaluate(WATCH)
    page.clock.run_for(LONG)
    assert page.evaluate(STIRRED) == []  # what was paused stays so
