"""People, rooms and rigs with exact truth: drawn from a seed, rendered on a CPU.

scene = draw_scene(7, SceneOptions(cameras=(4, 6)))
pictures = Renderer(scene).pictures(0)   # one (h, w, 3) uint8 RGB for each camera
scene.rig, scene.truth()                 # exact cameras and poses
for shot in shots(range(1000)): ...      # random scenes for training, nothing on disk
"""

from trivox.synthetic.renderer import Renderer
from trivox.synthetic.scene import Scene, SceneOptions, draw_scene
from trivox.synthetic.shots import Shot, shots

__all__ = ["Renderer", "Scene", "SceneOptions", "Shot", "draw_scene", "shots"]
