"""Is every link of a site whole: between its pages, to anchors, images, scripts, styles? No host is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

ATTRIBUTES = {"a": "href", "link": "href", "img": "src", "script": "src", "form": "action", "source": "src"}


@dataclass
class Report:
    """What was found: how many links lead within the site, which of them are broken, which lead outside it."""

    inside: int = 0
    broken: list[str] = field(default_factory=list)
    outside: set[str] = field(default_factory=set)


def check(site: Path) -> Report:
    """Follow every link of every page below `site`."""
    from bs4 import BeautifulSoup

    pages = {
        page: BeautifulSoup(page.read_text("utf-8"), "html.parser") for page in sorted(site.rglob("*.html"))
    }
    anchors = {
        page.resolve(): {str(tag["id"]) for tag in soup.find_all(id=True)} for page, soup in pages.items()
    }
    report = Report()
    for page, soup in pages.items():
        for tag in soup.find_all(list(ATTRIBUTES)):
            link = tag.get(ATTRIBUTES[tag.name])
            if link is not None:
                _follow(page, str(link), anchors, report)
    return report


def _follow(page: Path, link: str, anchors: dict[Path, set[str]], report: Report) -> None:
    url = urlsplit(link)
    if url.scheme == "data":
        return
    if url.scheme or url.netloc:
        report.outside.add(link)
        return
    report.inside += 1
    target = (page.parent / unquote(url.path)).resolve() if url.path else page.resolve()
    if not target.is_file():
        report.broken.append(f"{page.name}: {link}: no such file")
    elif url.fragment and unquote(url.fragment) not in anchors.get(target, set()):
        report.broken.append(f"{page.name}: {link}: no such place in that page")
