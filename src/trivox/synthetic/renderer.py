"""Pictures of a scene: the still room once per camera, then people, shadows and effects for each instant."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from trivox.geometry.distortion import lens_rows
from trivox.synthetic import lights as lighting
from trivox.synthetic import raster, solids
from trivox.synthetic.compose import compose
from trivox.synthetic.fabrics import CELL_MM, LINEAR
from trivox.synthetic.optics import developed, even_gain
from trivox.synthetic.rigs import View
from trivox.synthetic.scene import Scene
from trivox.synthetic.shading import shade
from trivox.synthetic.skinning import skin
from trivox.synthetic.worlds import generator

_STATIC_MAP, _PEOPLE_MAP, _NEAR_CELL = 512, 384, 8
_NO_LENS = lens_rows(torch.zeros(5), "opencv").numpy()


@dataclass(frozen=True)
class Still:
    """The room as one camera sees it without people."""

    picture: np.ndarray  # (h, w, 3) linear light
    depth: np.ndarray  # (S, h, w) 1 / mm
    fractions: np.ndarray  # (h, w, L) share of each light
    places: np.ndarray  # (h, w, 3) world mm
    gain: float


@dataclass(frozen=True)
class Posed:
    """All people of a scene at one instant, as one mesh."""

    vertices: np.ndarray  # (N, 3) float32 mm
    normals: np.ndarray


class Renderer:
    """Draws the frames of one scene. `threads` share the cameras; the bytes are the same for any number."""

    def __init__(self, scene: Scene, threads: int = 2) -> None:
        self.scene, self._threads = scene, threads
        meshes = [person.mesh for person in scene.people]
        starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
        self._starts = starts
        self._faces = np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=False)])
        self._faces = self._faces.astype(np.int32)
        kinds = np.cumsum([0, *(len(mesh.cells) for mesh in meshes)])
        self._material = np.concatenate([m.material + k for m, k in zip(meshes, kinds, strict=False)]).astype(np.int32)
        self._cells = np.concatenate([mesh.cells for mesh in meshes])
        self._rest = np.concatenate([mesh.vertices for mesh in meshes]).astype(np.float32)
        self._two_sided = np.concatenate([mesh.two_sided for mesh in meshes])
        self._solids = scene.room.solids.arrays()
        self._lights_still = np.stack([light.row(_STATIC_MAP) for light in scene.room.lights])
        self._lights_moving = np.stack([light.row(_PEOPLE_MAP) for light in scene.room.lights])
        self._maps_still = np.stack([self._still_map(row) for row in self._lights_still])
        self._textures = scene.room.palette.stacked()
        self._stills: list[Still] | None = None
        floor = scene.room.colours[1]
        strength = sum((light.colour for light in scene.room.lights), np.zeros(3))
        self._bounce = 0.25 * floor * (scene.room.ambient + 0.5 * strength)

    def pictures(self, frame: int) -> list[np.ndarray]:
        """The pictures (h, w, 3) uint8 RGB of all cameras at a frame."""
        (drawn,) = self.frames([frame])
        return drawn

    def frames(self, numbers: list[int] | range) -> Iterator[list[np.ndarray]]:
        """The pictures of all cameras, frame by frame."""
        with ThreadPoolExecutor(self._threads) as pool:
            if self._stills is None:
                self._stills = list(pool.map(self._still, self.scene.views))
            for number in numbers:
                yield self._drawn(pool, number)

    def _drawn(self, pool: ThreadPoolExecutor, number: int) -> list[np.ndarray]:
        scene = self.scene
        clock = number / scene.options.fps
        shifts = np.array([-0.375, -0.125, 0.125, 0.375]) * scene.shutter_s
        instants = {}
        for v, offset in enumerate(scene.offsets_s):
            blur = shifts if scene.blurred[v] and scene.shutter_s > 0 else np.zeros(1)
            instants[v] = tuple(float(clock + offset + shift) for shift in blur)
        middles = sorted({float(clock + offset) for offset in scene.offsets_s})
        times = sorted({time for chosen in instants.values() for time in chosen} | set(middles))
        bones = [person.posed(np.array(times)) for person in scene.people]
        posed = dict(zip(times, pool.map(lambda i: self._posed(bones, i), range(len(times))), strict=True))
        lit = dict(zip(middles, pool.map(lambda time: self._lit(posed[time]), middles), strict=True))

        def draw(v: int) -> np.ndarray:
            irradiance, maps, near = lit[float(clock + scene.offsets_s[v])]
            return self._picture(v, number, [posed[time] for time in instants[v]], irradiance, maps, near)

        return list(pool.map(draw, range(len(scene.views))))

    def _posed(self, bones: list[tuple[np.ndarray, np.ndarray]], instant: int) -> Posed:
        """Everybody's vertices, their bones turned as at one of the instants."""
        vertices, normals = np.empty_like(self._rest), np.empty_like(self._rest)
        for person, (turns, heads), start, end in zip(
            self.scene.people, bones, self._starts[:-1], self._starts[1:], strict=True
        ):
            mesh, rest = person.mesh, person.body.bone_heads_mm
            hanging = (mesh.bone_index, mesh.bone_weight, turns[instant], rest, heads[instant])
            skin(mesh.vertices, mesh.normals, *hanging, vertices[start:end], normals[start:end])
        return Posed(vertices, normals)

    def _lit(self, posed: Posed) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Irradiance of the vertices, the people's shadow maps, and which squares of each are near to anything."""
        count = len(self._lights_moving)
        maps = np.zeros((count, _PEOPLE_MAP, _PEOPLE_MAP), np.float32)
        near = np.zeros((count, _PEOPLE_MAP // _NEAR_CELL, _PEOPLE_MAP // _NEAR_CELL), np.uint8)
        seen = np.empty((len(posed.vertices), 3), np.float32)
        ids = np.empty((_PEOPLE_MAP, _PEOPLE_MAP), np.int32)
        fronts, middle = np.zeros(len(self._faces), bool), np.full(2, 0.5, np.float32)
        for light, row in enumerate(self._lights_moving):
            R, t, K = lighting.map_camera(row)
            raster.project(posed.vertices, R, t, K, _NO_LENS, seen)
            raster.rasterise(seen, self._faces, fronts, middle, 0, maps[light], ids)
            near[light] = _near_anything(maps[light], row[14])
        irradiance = np.empty((len(posed.vertices), 3), np.float32)
        moving = self._lights_moving
        # Furniture's maps are finer; their light rows differ in the cells only.
        lighting.light_vertices(
            posed.vertices, posed.normals, moving, self._lights_still, self._maps_still, maps, self.scene.room.ambient,
            self._bounce, lighting.TAPS, irradiance,
        )  # fmt: skip
        return irradiance, maps, near

    def _picture(
        self, v: int, number: int, posed: list[Posed], irradiance: np.ndarray, maps: np.ndarray, near: np.ndarray
    ) -> np.ndarray:
        assert self._stills is not None
        view, still, optics = self.scene.views[v], self._stills[v], self.scene.optics[v]
        h, w = view.image_hw
        depth = still.depth.copy()
        ids = np.full(depth.shape, -1, np.int32)
        count = len(raster.SAMPLES)
        screen = np.empty((count, len(self._rest), 3), np.float32)
        for s, offset in enumerate(raster.SAMPLES):
            if s < len(posed):
                raster.project(posed[s].vertices, view.R, view.t_mm, view.K, view.lens, screen[s])
            else:
                screen[s] = screen[0]
            raster.rasterise(screen[s], self._faces, self._two_sided, offset, 0, depth[s], ids[s])
        light = np.empty((h, w, 3), np.float32)
        coarse = np.empty(((h + 1) // 2, (w + 1) // 2), np.float32)
        compose(
            still.picture, still.fractions, still.places, self._lights_moving, maps, near, _NEAR_CELL, lighting.TAPS,
            ids, screen, raster.SAMPLES, self._faces, self._material, self._rest, irradiance, self._cells, CELL_MM,
            LINEAR, coarse, light,
        )  # fmt: skip
        return developed(light, optics, still.gain, generator("scene", self.scene.number, 4, v, number))

    def _still(self, view: View) -> Still:
        h, w = view.image_hw
        rays = np.empty((len(raster.SAMPLES), h, w, 2), np.float32)
        solids.undistorted_rays(h, w, view.K, view.lens, raster.SAMPLES.astype(np.float64), rays)
        geometry, texture, second, tile, glow = self._solids
        depth, hit = self._cast(rays, view.R, view.position_mm, view)
        count = len(self._lights_still)
        picture = np.empty((h, w, 3), np.float32)
        fractions, places = np.zeros((h, w, count), np.float32), np.zeros((h, w, 3), np.float32)
        shade(
            rays, view.R, view.position_mm, geometry, texture, second, tile, glow, depth, hit, self._lights_still,
            self._maps_still, self.scene.room.ambient, self._textures, lighting.TAPS, 1.0 / view.K[0, 0],
            np.empty(7), np.empty((count, 3)), np.empty(3), picture, fractions, places,
        )  # fmt: skip
        return Still(picture, depth, fractions, places, even_gain(picture))

    def _cast(self, rays: np.ndarray, R: np.ndarray, centre: np.ndarray, view: View) -> tuple[np.ndarray, np.ndarray]:
        depth, hit = np.zeros(rays.shape[:3], np.float32), np.full(rays.shape[:3], -1, np.int32)
        geometry = self._solids[0]
        solids.cast(rays, R, centre, geometry, boxes_in_picture(geometry, view), depth, hit)
        return depth, hit

    def _still_map(self, row: np.ndarray) -> np.ndarray:
        """What a light sees of the furniture (1 / depth), the room and what glows left out."""
        R, t, K = lighting.map_camera(row)
        view = View(K, R, t, np.zeros(5), (_STATIC_MAP, _STATIC_MAP))
        place = (np.arange(_STATIC_MAP) + 0.5 - row[13]) / row[12]
        rays = np.stack(np.broadcast_arrays(place[None, :], place[:, None]), -1)[None].astype(np.float32)
        geometry, _, _, _, glow = self._solids
        solid = (geometry[:, 0] != solids.INSIDE) & (glow <= 0) & (geometry[:, 4:7].min(1) > 8.5)
        depth, hit = np.zeros(rays.shape[:3], np.float32), np.full(rays.shape[:3], -1, np.int32)
        kept = np.ascontiguousarray(geometry[solid])
        solids.cast(rays, R, view.position_mm, kept, boxes_in_picture(kept, view), depth, hit)
        return depth[0]


def _near_anything(depth: np.ndarray, blur_cells: float) -> np.ndarray:
    """Which squares of a shadow map hold something within the reach of a soft shadow."""
    size = len(depth) // _NEAR_CELL
    full = np.asarray((depth > 0).reshape(size, _NEAR_CELL, size, _NEAR_CELL).any((1, 3)), np.uint8)
    reach = 2 * int(np.ceil((blur_cells + 1) / _NEAR_CELL)) + 1
    return cv2.dilate(full, np.ones((reach, reach), np.uint8))


def boxes_in_picture(geometry: np.ndarray, view: View) -> np.ndarray:
    """The part (P, 4) of a picture that each solid can cover: around its projected corners, or all of it."""
    h, w = view.image_hw
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float64)
    local = corners * geometry[:, None, 4:7]
    c, s = geometry[:, None, 7], geometry[:, None, 8]
    world = np.stack([c * local[..., 0] - s * local[..., 1], s * local[..., 0] + c * local[..., 1], local[..., 2]], -1)
    world = np.ascontiguousarray((world + geometry[:, None, 1:4]).reshape(-1, 3))
    seen = np.empty((len(world), 3))
    raster.project(world, view.R, view.t_mm, view.K, view.lens, seen)
    seen = seen.reshape(-1, 8, 3)
    whole = (seen[..., 2] <= 0).any(1)
    low, high = seen[..., :2].min(1), seen[..., :2].max(1)
    # Straight edges bend in a lens: more the longer they are, and a fisheye's anyhow.
    whole |= view.distortion_model == "fisheye"
    pad = 2 + 0.12 * (high - low)
    low, high = np.floor(low - pad), np.ceil(high + pad)
    low[whole], high[whole] = 0, [w, h]
    boxes = np.concatenate([low, high], 1)
    return np.clip(boxes, 0, [w, h, w, h]).astype(np.int64)
