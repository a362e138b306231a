"""What is where on a body at rest: along the limbs, on the trunk, on the head. Garments are cut by it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trivox.synthetic.bodies import Body
from trivox.synthetic.meshes import fine_mesh
from trivox.synthetic.skinning import vertex_normals


@dataclass(frozen=True)
class Landscape:
    """The vertices (N) of the fine mesh of one body at rest, in its own axes (x left, y back, z up), mm."""

    body: Body
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    normals: np.ndarray  # (N, 3)
    bone: np.ndarray  # (N,) number of the main bone

    @cached_property
    def trunk(self) -> np.ndarray:
        return self._of("root", "pelvis", "spine", "clavicle", "shoulder01")

    @cached_property
    def neck(self) -> np.ndarray:
        return self._of("neck")

    @cached_property
    def foot(self) -> np.ndarray:
        return self._of("foot", "toe")

    @cached_property
    def skull(self) -> np.ndarray:
        return self._of("head", "eye")

    @cached_property
    def arm(self) -> np.ndarray:
        """0 at the shoulder, 1 at the elbow, 2 at the wrist; -1 off the arms."""
        return self._along(self._of("upperarm", "lowerarm"), "upperarm01", "lowerarm01", "wrist")

    @cached_property
    def leg(self) -> np.ndarray:
        """0 at the hip, 1 at the knee, 2 at the ankle; -1 off the legs."""
        return self._along(self._of("upperleg", "lowerleg"), "upperleg01", "lowerleg01", "foot")

    @property
    def hip_z(self) -> float:
        return float(self.body.head_of("upperleg01.L")[2])

    @property
    def chest_z(self) -> float:
        return float(self.body.head_of("spine01")[2])

    @property
    def neck_z(self) -> float:
        return float(self.body.head_of("neck01")[2])

    @cached_property
    def room_between_legs_mm(self) -> np.ndarray:
        """How far the skin may be pushed out before the other leg is there (N,)."""
        inward = -self.normals[:, 0] * np.sign(self.x)
        return np.where(inward > 0.2, np.maximum(0.8 * np.abs(self.x) / np.maximum(inward, 0.2), 1.5), np.inf)

    @cached_property
    def back_point_mm(self) -> np.ndarray:
        """The middle of the upper back's skin."""
        near = self.trunk & (np.abs(self.x) < 60) & (np.abs(self.z - self.body.head_of("spine02")[2]) < 60)
        return np.array([0.0, self.y[near].max(), self.body.head_of("spine02")[2]])

    @cached_property
    def _face(self) -> tuple[np.ndarray, np.ndarray]:
        """Height (0 at the eyes, 1 at the crown) and forwardness (0 at the ears, 1 at the nose) on the head."""
        marks = {name: self.body.template.landmarks[name] @ self.body.vertices_mm for name in ("left_ear", "nose")}
        eye_z = self.body.head_of("eye.L")[2]
        height = (self.z - eye_z) / (self.z[self.skull].max() - eye_z)
        forward = (marks["left_ear"][1] - self.y) / (marks["left_ear"][1] - marks["nose"][1])
        return height, forward

    @cached_property
    def scalp(self) -> np.ndarray:
        height, forward = self._face
        line = np.where(forward > 0, 0.32 + 0.42 * forward, np.maximum(0.32 + 4.0 * forward, -0.95))
        return self.skull & (height > line)

    @cached_property
    def crown(self) -> np.ndarray:
        return self.skull & (self._face[0] > 0.42)

    @cached_property
    def beard(self) -> np.ndarray:
        height, forward = self._face
        mouth = (np.abs(self.x) < 24) & (height > -0.72) & (height < -0.5)
        return self.skull & (height < -0.38) & (forward > 0.05) & ~mouth

    @cached_property
    def brows(self) -> np.ndarray:
        height, forward = self._face
        x = np.abs(self.x)
        return self.skull & (height > 0.13) & (height < 0.24) & (x > 12) & (x < 48) & (forward > 0.45)

    @cached_property
    def hood(self) -> np.ndarray:
        height, forward = self._face
        face = (forward > 0.3) & (height < 0.6) & (height > -0.95)
        return (self.skull & ~face) | self.neck | (self.trunk & (self.z > self.neck_z - 60))

    @cached_property
    def mask(self) -> np.ndarray:
        height, forward = self._face
        return self.skull & (height < -0.2) & (height > -0.95) & (forward > 0.25)

    @cached_property
    def eye(self) -> np.ndarray:
        return self._of("eye")

    @cached_property
    def iris(self) -> np.ndarray:
        centre = self.body.head_of("eye.L")
        apart = np.hypot(np.abs(self.x) - centre[0], self.z - centre[2])
        return self.eye & (apart < 6.5) & (self.y < centre[1])

    def _of(self, *names: str) -> np.ndarray:
        """The vertices whose main bone's name begins with one of these."""
        return np.array([bone.startswith(names) for bone in self.body.template.bones])[self.bone]

    def _along(self, mask: np.ndarray, first: str, second: str, third: str) -> np.ndarray:
        points = np.stack([np.abs(self.x), self.y, self.z], 1)
        a, b, c = (self.body.head_of(f"{name}.L") for name in (first, second, third))
        upper = np.clip((points - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
        lower = np.clip((points - b) @ (c - b) / ((c - b) @ (c - b)), 0, 1)
        return np.where(mask, upper + lower, -1.0)


def landscape(body: Body) -> Landscape:
    mesh = fine_mesh()
    vertices = mesh.vertices_of(body)
    x, y, z = vertices.T
    return Landscape(body, x, y, z, vertex_normals(vertices, mesh.faces), mesh.main_bone)
