"""The papers of the house agree with each other: dependencies, change log, links, commands."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PROJECT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
PAGES = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")])


def pinned() -> dict[str, Version]:
    lines = (PROJECT / "constraints.txt").read_text().splitlines()
    pins = [line.split("#")[0].split(";")[0].strip() for line in lines]
    return {canonicalize_name(name): Version(version) for name, version in (p.split("==") for p in pins if p)}


@pytest.mark.parametrize(
    "requirement",
    [
        *PYPROJECT["dependencies"],
        *(r for extra in PYPROJECT["optional-dependencies"].values() for r in extra),
    ],
)
def test_every_dependency_is_pinned_to_a_version_it_allows(requirement: str) -> None:
    wanted = Requirement(requirement)
    assert pinned()[canonicalize_name(wanted.name)] in wanted.specifier


def test_licence_files_are_there() -> None:
    assert [name for name in PYPROJECT["license-files"] if not (PROJECT / name).is_file()] == []


def test_the_change_log_has_its_form() -> None:
    """keep-a-changelog: Unreleased first, then versions with dates, newest first, and six kinds of change."""
    text = (PROJECT / "CHANGELOG.md").read_text()
    releases = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d{2}-\d{2}))?$", text, re.MULTILINE)
    assert len(releases) == len(re.findall(r"^## ", text, re.MULTILINE))
    assert releases[0] == ("Unreleased", "")
    versions, dates = [Version(v) for v, _ in releases[1:]], [date for _, date in releases[1:]]
    assert versions == sorted(versions, reverse=True) and dates == sorted(dates, reverse=True) and all(dates)
    kinds = set(re.findall(r"^### (.+)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert not versions or versions[0] == Version(PYPROJECT["version"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    inside = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in inside if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_commands_in_pages_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^\s*)make ([a-z]+)", page.read_text(), re.MULTILINE)) <= targets
