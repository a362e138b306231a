"""From maps of several views to a volume around a person, and from volumes to joints."""

from trivox.geometry.volumes.cube import Cube, rotation_about
from trivox.geometry.volumes.expectation import VolumePoints, soft_argmax_3d
from trivox.geometry.volumes.sampling import Sampling
from trivox.geometry.volumes.unprojection import Aggregation, unproject

__all__ = ["Aggregation", "Cube", "Sampling", "VolumePoints", "rotation_about", "soft_argmax_3d", "unproject"]
