"""The public names of trivox, all of them: what `import trivox` offers."""

from trivox.doctor.examination import doctor
from trivox.errors import InputError
from trivox.evaluate import evaluate
from trivox.evaluate_model import evaluate_model
from trivox.export import export
from trivox.files.calibrations import load_rig, save_rig
from trivox.files.keypoints import load_keypoints, save_keypoints
from trivox.files.poses import load_poses, save_poses
from trivox.geometry.cameras import Cameras
from trivox.geometry.poses import Poses
from trivox.geometry.rig import Rig
from trivox.geometry.skeletons import SKELETONS, Skeleton
from trivox.geometry.smoothing import smoothed
from trivox.geometry.triangulated import Triangulated
from trivox.geometry.triangulation import refine, triangulate, triangulate_ransac
from trivox.import_weights import import_weights
from trivox.models.checkpoints import load_model, save_model
from trivox.predict import predict
from trivox.smooth import smooth_result
from trivox.triangulate_files import triangulate_files
from trivox.view.draw import draw
from trivox.view.page import view
from trivox.view.report import write_report

__all__ = [
    "SKELETONS",
    "Cameras",
    "InputError",
    "Poses",
    "Rig",
    "Skeleton",
    "Triangulated",
    "doctor",
    "draw",
    "evaluate",
    "evaluate_model",
    "export",
    "import_weights",
    "load_keypoints",
    "load_model",
    "load_poses",
    "load_rig",
    "predict",
    "refine",
    "save_keypoints",
    "save_model",
    "save_poses",
    "save_rig",
    "smooth_result",
    "smoothed",
    "triangulate",
    "triangulate_files",
    "triangulate_ransac",
    "view",
    "write_report",
]
