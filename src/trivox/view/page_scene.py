"""The 3D scene in the browser: floor, cameras with pictures, people. `Scene.show` brings it to one instant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import trimesh
from jaxtyping import Float, UInt8

from trivox.geometry.poses import Poses
from trivox.view.page_colours import Mode, person_colours
from trivox.view.scene3d import (
    FIELD_OF_VIEW,
    M_PER_MM,
    Floor,
    Frustum,
    Solids,
    bone_radii_m,
    bone_solids,
    first_look,
    floor_of,
    frusta,
    joint_radii_m,
    joint_solids,
)
from trivox.view.shown import TRUTH, Content, Shown, at_frame

if TYPE_CHECKING:
    from viser import CameraFrustumHandle, SceneNodeHandle, ViserServer

_INK, _GRID, _SECTION = (70, 74, 82), (222, 224, 228), (190, 194, 200)
_DIFFERENCE = (214, 40, 57)
_NAME_M = 0.15  # a name above the head, and from one name to the next where several results have the same person
# How large a frustum is, as a share of the way from the camera to the people.
_FRUSTUM_SHARE, _FRUSTUM_M = 0.075, (0.1, 0.5)


@dataclass(frozen=True)
class Instant:
    """What is shown at one time. `pictures` are those of the cameras, drawn over; None where there is none."""

    frame: int
    mode: Mode
    pictures: Sequence[UInt8[np.ndarray, "_ _ 3"] | None] = ()


class Scene:
    """All nodes of the scene on a server."""

    def __init__(self, server: ViserServer, content: Content, dimmed: bool = True) -> None:
        """`dimmed`: less light from all around, which bleaches colours; players of recordings flicker with it."""
        self.content = content
        self.floor = floor_of(content.everybody, content.rig)
        self._server = server
        rig = content.rig
        self._frusta = [] if rig is None else frusta(rig.upright_cameras, content.image_hw)
        self._camera_m = _frustum_scale_m(self._frusta, self.floor)
        self._prepare_look()
        if dimmed:
            server.scene.configure_environment_map("warehouse", environment_intensity=0.35)
        self.ground = self._add_ground()
        self.cameras = self._add_cameras()
        self._words = server.scene.add_label("/joint", "", anchor="bottom-left", visible=False)
        several = len(content.results) > 1
        self.results = [
            _PeopleNodes(server, results_node(shown.name), shown.poses, self.floor, shown.name * several, tier=tier)
            for tier, shown in enumerate(content.results)
        ]
        self.truth = None
        if content.truth is not None:
            self.truth = _PeopleNodes(server, "/truth", content.truth, self.floor, None, thin=True)
            self.differences = [
                server.scene.add_line_segments(
                    f"/differences/{node_name(shown.name)}", np.zeros((0, 2, 3)), _DIFFERENCE, thickness=0.006
                )
                for shown in content.results
            ]

    def show(self, instant: Instant) -> None:
        """Bring everything to one video frame."""
        for shown, nodes in zip(self.content.results, self.results, strict=True):
            row = at_frame(shown.poses, instant.frame)
            nodes.show(row, *((None, None) if row is None else person_colours(shown, row, instant.mode)))
        if self.truth is not None:
            self.truth.show(at_frame(self.truth.poses, instant.frame), None, None)
            for shown, lines in zip(self.content.results, self.differences, strict=True):
                lines.points = differences_m(shown, instant.frame)
        for camera, picture in zip(self.cameras, instant.pictures, strict=False):
            if picture is not None:
                camera.image = picture

    def point_out(self, words: str, at_m: Float[np.ndarray, "3"] | None) -> None:
        """Say something of a place; of none without one."""
        self._words.visible = at_m is not None
        if at_m is not None:
            self._words.text, self._words.position = words, at_m

    def _prepare_look(self) -> None:
        corners = np.array([shape.corners_m(self._camera_m) for shape in self._frusta]).reshape(-1, 5, 3)
        look = first_look(self.content.everybody, self.floor, corners)
        self._server.scene.set_up_direction(tuple(self.floor.up.tolist()))
        camera = self._server.initial_camera
        camera.position, camera.look_at, camera.fov = look.from_m, look.at_m, FIELD_OF_VIEW
        camera.up = self.floor.up

    def _add_ground(self) -> SceneNodeHandle:
        turn = bone_solids(np.zeros((1, 3)), self.floor.up[None], np.ones(1, bool), np.ones(1)).wxyz[0]
        return self._server.scene.add_grid(
            "/floor",
            width=self.floor.size_m,
            height=self.floor.size_m,
            plane="xy",
            cell_size=0.5,
            section_size=1.0,
            cell_color=_GRID,
            section_color=_SECTION,
            shadow_opacity=0.25,
            fade_distance=4 * self.floor.size_m,
            wxyz=turn,
            position=self.floor.centre_m,
        )

    def _add_cameras(self) -> list[CameraFrustumHandle]:
        names = () if self.content.rig is None else self.content.rig.names
        handles = []
        for name, shape in zip(names, self._frusta, strict=True):
            path = f"/cameras/{node_name(name)}"
            handles.append(
                self._server.scene.add_camera_frustum(
                    path,
                    fov=shape.vertical_fov,
                    aspect=shape.aspect,
                    scale=self._camera_m,
                    thickness=2.0,
                    thickness_units="screen",
                    color=_INK,
                    format="jpeg",
                    jpeg_quality=80,
                    wxyz=shape.wxyz,
                    position=shape.position_m,
                    cast_shadow=False,
                    receive_shadow=False,
                )
            )
            self._server.scene.add_label(f"{path}/name", name, anchor="bottom-center")
        return handles


def _frustum_scale_m(shapes: Sequence[Frustum], floor: Floor) -> float:
    away = [float(np.linalg.norm(shape.position_m - floor.centre_m)) for shape in shapes]
    return float(np.clip(_FRUSTUM_SHARE * np.median(away), *_FRUSTUM_M)) if away else 0.0


class _PeopleNodes:
    """Joints and bones of the people of one result: two nodes, however many people."""

    def __init__(
        self,
        server: ViserServer,
        path: str,
        poses: Poses,
        floor: Floor,
        name: str | None,
        *,
        thin: bool = False,
        tier: int = 0,
    ) -> None:
        """`name` is said over heads, with a number where there are several people; nothing is for None.

        `tier`: how many names of others may stand below ours.
        """
        self.poses, self._floor = poses, floor
        self._name_m = _NAME_M * (1 + tier)
        people, share = poses.points_mm.shape[1], 0.55 if thin else 1.0
        self._joint_radii = np.tile(joint_radii_m(poses.skeleton), people) * share
        self._bone_radii = np.tile(bone_radii_m(poses.skeleton), people) * share
        self._bones = np.array(poses.skeleton.bone_indices, int).reshape(-1, 2)
        self.joints = self._solids(server, f"{path}/joints", trimesh.creation.icosphere(2), len(self._joint_radii))
        self.bones = self._solids(server, f"{path}/bones", trimesh.creation.cylinder(1, 1, 16), len(self._bone_radii))
        words = [f"{name or 'person'} {p}" if people > 1 else name for p in range(people if name is not None else 0)]
        self.labels = [
            server.scene.add_label(f"{path}/name{p}", word, anchor="bottom-center", visible=False) if word else None
            for p, word in enumerate(words)
        ]
        self.visible = True

    def _solids(self, server: ViserServer, path: str, mesh: trimesh.Trimesh, count: int):
        return server.scene.add_batched_meshes_simple(
            path,
            vertices=np.asarray(mesh.vertices),
            faces=np.asarray(mesh.faces),
            batched_wxyzs=np.tile([1.0, 0.0, 0.0, 0.0], (count, 1)),
            batched_positions=np.zeros((count, 3)),
            batched_scales=np.full((count, 3), 1e-6),
            batched_colors=np.tile(np.array(TRUTH, np.uint8), (count, 1)),
            lod="off",
        )

    def show(
        self,
        row: int | None,
        joint_colours: UInt8[np.ndarray, "P J 3"] | None,
        bone_colours: UInt8[np.ndarray, "P B 3"] | None,
    ) -> None:
        """The people of one row; nobody for None. Colours stay where none are given."""
        points = self.poses.points_mm[row or 0].double().numpy() * M_PER_MM
        valid = self.poses.valid[row or 0].numpy() & (row is not None and self.visible)
        points = np.where(valid[..., None], points, self._floor.centre_m)
        parent, child = self._bones.T
        _place(self.joints, joint_solids(points.reshape(-1, 3), valid.reshape(-1), self._joint_radii))
        ends = (points[:, parent].reshape(-1, 3), points[:, child].reshape(-1, 3))
        _place(self.bones, bone_solids(*ends, (valid[:, parent] & valid[:, child]).reshape(-1), self._bone_radii))
        if joint_colours is not None and bone_colours is not None:
            self.joints.batched_colors = joint_colours.reshape(-1, 3)
            self.bones.batched_colors = bone_colours.reshape(-1, 3)
        for person, label in enumerate(self.labels):
            if label is not None:
                label.visible = bool(valid[person].any())
                label.position = self._above(points[person], valid[person])

    def _above(self, points_m: Float[np.ndarray, "J 3"], valid: np.ndarray) -> Float[np.ndarray, "3"]:
        if not valid.any():
            return self._floor.centre_m
        known, up = points_m[valid], self._floor.up
        middle = known.mean(0)
        return middle + ((known @ up).max() - middle @ up + self._name_m) * up


def _place(node, solids: Solids) -> None:
    node.batched_wxyzs = solids.wxyz.astype(np.float32)
    node.batched_positions = solids.position_m.astype(np.float32)
    node.batched_scales = solids.scale.astype(np.float32)


def differences_m(shown: Shown, frame: int) -> Float[np.ndarray, "N 2 3"]:
    """Lines from every joint to where it truly is, where the truth tells."""
    row = at_frame(shown.poses, frame)
    if row is None or shown.compared is None:
        return np.zeros((0, 2, 3))
    lines = np.stack([shown.poses.points_mm[row].double().numpy(), shown.compared.true_mm[row]], -2) * M_PER_MM
    return lines[np.isfinite(lines).all((-2, -1))]


def node_name(name: str) -> str:
    """A name as one step of a path in the scene tree."""
    return name.replace("/", " ").strip() or "-"


def results_node(name: str) -> str:
    """Where the people of a result are in the scene tree."""
    return f"/results/{node_name(name)}"


def joints_node(name: str) -> str:
    """Where their joints are: one solid each, those of the first person first."""
    return f"{results_node(name)}/joints"
