"""The sources of the site: the pages of docs/ beside README, change log, contributing and notices, each in one folder.

    python tools/site_pages.py build/pages

README is the first page. Nothing is written twice: pages are copied, and links between them follow, so that they lead
somewhere both here and there. A link to a file that is no page stays as it is, and the strict build refuses it.
"""

import re
import shutil
import sys
from pathlib import Path
from posixpath import normpath

PROJECT = Path(__file__).parent.parent
AT_THE_TOP = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "NOTICE": "notice.md",
}
"""Page of the repository -> page of the site; docs/x.md becomes x.md."""


def place(path: str) -> str:
    """Where a file of the repository stands in the site."""
    return AT_THE_TOP.get(path, path.removeprefix("docs/"))


def with_links_moved(text: str, page: str) -> str:
    """`text` of the repository's `page`, its relative links to pages and pictures as the site has them."""

    def moved(match: re.Match[str]) -> str:
        return f"]({place(normpath(Path(page).parent / match[1]))}"

    return re.sub(r"\]\((?![a-z]+:|#)([^)#\s]+)", moved, text)


def write_pages(folder: Path) -> None:
    """All pages and pictures of the site, into a new `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(PROJECT / "docs", folder)
    for page in [*AT_THE_TOP, *(f"docs/{path.name}" for path in PROJECT.glob("docs/*.md"))]:
        text = (PROJECT / page).read_text(encoding="utf-8")
        if not page.endswith(".md"):  # plain text
            text = f"# {page.capitalize()}\n\n```text\n{text}```\n"
        (folder / place(page)).write_text(with_links_moved(text, page), encoding="utf-8")


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))
