"""2D detections of other programs, read into `Keypoints2D`; conventions of each format: docs/formats.md."""

from trivox.files.keypoints.load import holds_keypoints, load_keypoints
from trivox.files.keypoints.native import save_keypoints

__all__ = ["holds_keypoints", "load_keypoints", "save_keypoints"]
