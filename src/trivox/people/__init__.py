"""People in synchronized views: find them, decide who is who, and keep each in view."""
