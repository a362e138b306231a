"""From pixels of several views to joints in millimetres: linear, robust, refined."""

from trivox.geometry.triangulation.linear import triangulate
from trivox.geometry.triangulation.ransac import triangulate_ransac
from trivox.geometry.triangulation.refinement import refine

__all__ = ["refine", "triangulate", "triangulate_ransac"]
