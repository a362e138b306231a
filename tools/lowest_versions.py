"""The lowest versions that pyproject.toml allows, as pip's constraints.

    python tools/lowest_versions.py > lowest.txt

torch is left out: its old builds for the CPU are not on PyPI. It is the version of constraints.txt there.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parent.parent
EXTRAS = ("human36m", "export", "view", "train")


def lowest() -> list[str]:
    """`name==version.*` of every dependency and of the extras that tests of files use."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    requirements = [*project["dependencies"], *(line for name in EXTRAS for line in extras[name])]
    found = [re.match(r"([A-Za-z0-9_.-]+)>=([0-9.]+)", requirement) for requirement in requirements]
    return [f"{match[1]}=={match[2]}.*" for match in found if match and match[1] != "torch"]


if __name__ == "__main__":
    print("\n".join(lowest()))
