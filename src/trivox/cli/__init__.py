"""The command line of trivox."""

from trivox.cli.main import main

__all__ = ["main"]
