"""3D results in files: our own .npz, OpenSim's .trc, and .csv; what each keeps: docs/formats.md."""

from trivox.files.poses.load import load_poses, save_poses

__all__ = ["load_poses", "save_poses"]
