"""The site builds strictly, needs no network, and every link in the built pages leads somewhere."""

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from shutil import copy
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

PROJECT = Path(__file__).parent.parent


def built(folder: Path, added_to_methods: str = "") -> subprocess.CompletedProcess[str]:
    """The site in `folder`/build/site, as `make docs` builds it."""
    copy(PROJECT / "zensical.toml", folder)
    pages = [sys.executable, PROJECT / "tools" / "site_pages.py", folder / "build" / "pages"]
    subprocess.run(pages, check=True, capture_output=True)
    with (folder / "build" / "pages" / "methods.md").open("a") as page:
        page.write(added_to_methods)
    build = [sys.executable, "-m", "zensical", "build", "--strict"]
    return subprocess.run(build, cwd=folder, capture_output=True, text=True)


class Page(HTMLParser):
    """What a page can be pointed at, and what it points at or loads."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        self.loaded += [given["src"]] if "src" in given else []
        self.loaded += [given["href"]] if tag == "link" else []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    ran = built(folder)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return folder / "build" / "site"


def test_every_link_and_picture_of_the_site_leads_somewhere(site: Path) -> None:
    pages = {file: Page(file) for file in site.glob("*.html") if file.name != "404.html"}
    lost = []
    for file, page in pages.items():
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            if not parts.scheme:
                aim = (file.parent / unquote(parts.path)).resolve() if parts.path else file
                anchors = pages[aim].anchors if aim in pages else set()
                if not aim.is_file() or (parts.fragment and parts.fragment not in anchors):
                    lost.append(f"{file.name}: {link}")
    assert sum(len(page.links) for page in pages.values()) > 100
    assert lost == []


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    loaded = [link for file in site.glob("*.html") for link in Page(file).loaded]
    assert loaded and [link for link in loaded if urlsplit(link).netloc] == []


def test_every_page_is_in_the_navigation(site: Path) -> None:
    def pages_of(entry: Any) -> Iterator[str]:
        if isinstance(entry, str):
            yield entry
        else:
            for below in entry.values() if isinstance(entry, dict) else entry:
                yield from pages_of(below)

    in_navigation = list(pages_of(tomllib.loads((PROJECT / "zensical.toml").read_text())["project"]["nav"]))
    assert sorted(in_navigation) == sorted(path.name for path in (site.parent / "pages").glob("*.md"))


@pytest.mark.parametrize("link", ["nowhere.md", "formats.md#nowhere"])
def test_a_broken_link_stops_the_build(link: str, tmp_path: Path) -> None:
    assert built(tmp_path, f"\n[a link]({link})\n").returncode != 0
