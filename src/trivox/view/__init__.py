"""What people look at: the page in the browser, pictures and reports."""

from trivox.view.page import view

__all__ = ["view"]
