"""Joints over time: smoothed without lag, gaps filled, bones steady."""

from trivox.geometry.smoothing.people import LONGEST_GAP_S, filled, smoothed

__all__ = ["LONGEST_GAP_S", "filled", "smoothed"]
