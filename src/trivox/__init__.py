"""trivox: synchronized, calibrated videos of people in, 3D joints in millimetres out.

The public names stand in `public.py`. They are imported when the first of them is used, because they bring PyTorch
along: `trivox --help` answers without.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trivox.public import *  # noqa: F403

# Functions whose file has the same name.
_NAMED_LIKE_FILES = {
    *("doctor", "evaluate", "evaluate_model", "export", "import_weights", "predict", "triangulate_files", "view")
}


class _Package(ModuleType):
    """This module."""

    def __getattr__(self, name: str) -> object:
        if name == "__all__" or not name.startswith("_"):
            public = import_module("trivox.public")
            if hasattr(public, name):
                return getattr(public, name)
        raise AttributeError(f"module 'trivox' has no attribute {name!r}")

    def __setattr__(self, name: str, value: object) -> None:
        """Python sets every file here that it has imported; a function of that name goes before it."""
        if name in _NAMED_LIKE_FILES and isinstance(value, ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *import_module("trivox.public").__all__})


sys.modules[__name__].__class__ = _Package
