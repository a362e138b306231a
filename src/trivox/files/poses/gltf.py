"""glTF 2.0 (.glb, .gltf): an animation of all people that opens in Blender, three.js and game engines. Metres, Y up.

Every joint is a node, moved by an animation with a key at each frame where the joint is valid, so that positions are
kept as they are. Its ball is drawn there, and on it stand sticks, one for each bone, that turn and stretch to reach
the other joint. What is missing is not drawn: it is scaled to nothing for as long. A joint that is never seen has no
node. Time 0 is the first frame, whose number is in the extras of the scene, with units, fps and joints. It keeps no
confidence and no covariance. Numbers are float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from trivox.errors import InputError
from trivox.files.npz import to_numpy
from trivox.files.poses.gltf_buffer import ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER, GltfBuffer
from trivox.files.poses.gltf_shapes import ball, stick
from trivox.geometry.axes import turned_if_known
from trivox.geometry.poses import Poses

_MM_PER_M = 1000.0
# Radii as a share of how far the person reaches: 17 and 9 mm of somebody of 1.70 m.
_BALL, _STICK = 0.01, 0.005
# Red, green, blue, alpha by side; the same for everybody.
_COLOURS = {"left": (0.05, 0.30, 0.80, 1.0), "right": (0.85, 0.25, 0.05, 1.0), "middle": (0.45, 0.45, 0.45, 1.0)}


def save_gltf(poses: Poses, path: Path) -> None:
    """Write all people, turned so that `poses.up` becomes Y. Raises `InputError` for times too close for float32."""
    poses = turned_if_known(poses, (0.0, 1.0, 0.0))
    times_s = ((poses.frames - poses.frames[0]).double() / poses.fps).numpy().astype(np.float32)
    if (np.diff(times_s) <= 0).any():
        raise InputError(f"{path}: a recording this long has times that float32 cannot tell apart; export parquet")
    scene = _Scene(poses, times_s)
    scene.buffer.save(scene.document(), path)


class _Scene:
    """Nodes, meshes and the animation, as they are collected."""

    def __init__(self, poses: Poses, times_s: np.ndarray) -> None:
        self.poses, self.times_s, self.buffer = poses, times_s, GltfBuffer()
        self.points_m = to_numpy(poses.points_mm) / _MM_PER_M
        self.valid = to_numpy(poses.valid)
        self.nodes: list[dict[str, Any]] = []
        self.samplers: list[dict[str, Any]] = []
        self.channels: list[dict[str, Any]] = []
        self.meshes = list(self._meshes())
        self.people = [self._person(p) for p in range(self.valid.shape[1]) if self.valid[:, p].any()]

    def document(self) -> dict[str, Any]:
        poses = self.poses
        extras = {
            "units": "m",
            "fps": float(poses.fps),
            "first_frame": int(poses.frames[0]),
            "joints": list(poses.skeleton.names),
            "up_was_known": poses.up is not None,
        }
        return {
            "asset": {"version": "2.0", "generator": f"trivox {version('trivox')}"},
            "scene": 0,
            "scenes": [{"name": "people", "nodes": self.people, "extras": extras}],
            "nodes": self.nodes,
            "meshes": self.meshes,
            "materials": [_material(side, colour) for side, colour in _COLOURS.items()],
            "animations": [{"name": "motion", "samplers": self.samplers, "channels": self.channels}],
        }

    def _meshes(self) -> Iterator[dict[str, Any]]:
        """A ball and a stick for each colour, in this order."""
        size = _reach(self.points_m, self.valid)
        for name, shape in (("joint", ball(_BALL * size)), ("bone", stick(_STICK * size))):
            attributes = {
                "POSITION": self.buffer.add(shape.points, ARRAY_BUFFER),
                "NORMAL": self.buffer.add(shape.normals, ARRAY_BUFFER),
            }
            indices = self.buffer.add(shape.triangles.ravel(), ELEMENT_ARRAY_BUFFER)
            for material, side in enumerate(_COLOURS):
                primitive = {"attributes": attributes, "indices": indices, "material": material}
                yield {"name": f"{name} {side}", "primitives": [primitive]}

    def _person(self, person: int) -> int:
        """The node of a person, which holds those of its joints."""
        prefix = f"p{person}_" if self.valid.shape[1] > 1 else ""
        names = self.poses.skeleton.names
        nodes = {j: self._joint(prefix + names[j], person, j) for j in self._seen_joints(person)}
        for parent, child in self.poses.skeleton.bone_indices:
            if (self.valid[:, person, parent] & self.valid[:, person, child]).any():
                stick = self._bone(f"{prefix}{names[parent]}_to_{names[child]}", person, parent, child)
                self.nodes[nodes[parent]].setdefault("children", []).append(stick)
        return self._node({"name": f"person_{person}", "children": list(nodes.values())})

    def _seen_joints(self, person: int) -> list[int]:
        return np.flatnonzero(self.valid[:, person].any(0)).tolist()

    def _joint(self, name: str, person: int, joint: int) -> int:
        seen = self.valid[:, person, joint]
        places = self.points_m[seen, person, joint]
        mesh = list(_COLOURS).index(_side(self.poses.skeleton.names[joint]))
        node = self._node({"name": name, "mesh": mesh, "translation": places[0].tolist()})
        self._animate(node, "translation", self.times_s[seen], places)
        if not seen.all():
            changes = np.r_[True, seen[1:] != seen[:-1]]
            shown = np.repeat(seen[changes, None], 3, 1).astype(np.float32)
            self._animate(node, "scale", self.times_s[changes], shown, "STEP")
        return node

    def _bone(self, name: str, person: int, parent: int, child: int) -> int:
        """A stick along y that a joint carries to another one."""
        both = self.valid[:, person, parent] & self.valid[:, person, child]
        along = self.points_m[:, person, child] - self.points_m[:, person, parent]
        lengths = np.linalg.norm(along, axis=-1)
        turns = _turns_from_y(along[both])
        scales = np.where(both, [np.ones_like(lengths), lengths, np.ones_like(lengths)], 0).T
        sides = {_side(self.poses.skeleton.names[joint]) for joint in (parent, child)} - {"middle"}
        mesh = len(_COLOURS) + list(_COLOURS).index(sides.pop() if len(sides) == 1 else "middle")
        rest = {"rotation": turns[0].tolist(), "scale": scales[both][0].tolist()}
        node = self._node({"name": name, "mesh": mesh, **rest})
        self._animate(node, "rotation", self.times_s[both], turns)
        self._animate(node, "scale", self.times_s, scales, "LINEAR" if both.all() else "STEP")
        return node

    def _node(self, node: dict[str, Any]) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1

    def _animate(self, node: int, what: str, times_s: np.ndarray, values: np.ndarray, how: str = "LINEAR") -> None:
        keys = {"input": self.buffer.add(times_s), "output": self.buffer.add(values), "interpolation": how}
        self.channels.append({"sampler": len(self.samplers), "target": {"node": node, "path": what}})
        self.samplers.append(keys)


def _material(side: str, colour: tuple[float, ...]) -> dict[str, Any]:
    look = {"baseColorFactor": list(colour), "metallicFactor": 0.0, "roughnessFactor": 0.7}
    return {"name": side, "pbrMetallicRoughness": look}


def _side(joint: str) -> str:
    return next((side for side in ("left", "right") if joint.startswith(f"{side}_")), "middle")


def _reach(points: np.ndarray, valid: np.ndarray) -> float:
    """How far a person reaches, the median over people and frames of the diagonal around them."""
    seen = valid.any(-1)
    there = valid[..., None]
    low, high = np.where(there, points, np.inf).min(2)[seen], np.where(there, points, -np.inf).max(2)[seen]
    return float(np.median(np.linalg.norm(high - low, axis=-1))) or 1.0


def _turns_from_y(vectors: np.ndarray) -> np.ndarray:
    """Quaternions (x, y, z, w) of the shortest turns of y onto `vectors` (N, 3), of steady signs over N."""
    x, y, z = (vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)).T
    turns = np.stack([z, np.zeros_like(x), -x, 1 + y], -1)
    turns[np.linalg.norm(turns, axis=-1) < 1e-6] = (1.0, 0.0, 0.0, 0.0)  # straight down
    turns /= np.linalg.norm(turns, axis=-1, keepdims=True)
    flips = np.where((turns[1:] * turns[:-1]).sum(-1) < 0, -1.0, 1.0)
    return turns * np.cumprod(np.r_[1.0, flips])[:, None]
