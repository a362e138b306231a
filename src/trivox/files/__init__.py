"""Formats of other people: calibrations, 2D keypoints, 3D poses, videos, images. No weights."""
