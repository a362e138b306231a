"""trivox synth: people in rooms, rendered with exact truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from tyro.conf import Positional, arg

from trivox.cli.options import unset

RigKind = Literal["ring", "corner", "one-sided", "ceiling", "tripod", "any"]


@dataclass(frozen=True, kw_only=True)
class Synth:
    """Render people in rooms, with exact truth, as a dataset (needs trivox[synth])."""

    out: Annotated[Positional[Path], arg(metavar="OUT")]
    """Folder for the scenes."""
    scenes: Annotated[int, arg(metavar="N")] = 1
    """How many."""
    layout: Literal["scenes", "human36m", "panoptic"] = "scenes"
    """Folders and labels: trivox's own, Human3.6M's or CMU Panoptic's."""
    seed: Annotated[int, arg(metavar="N")] = 0
    """The first scene; the same seed gives the same files."""
    world: Literal["train", "test", "both"] = "both"
    """Training and test scenes share no body, motion, rig or texture."""
    cameras: Annotated[tuple[int, int], arg(metavar="LOW HIGH")] = (4, 4)
    """Cameras of a scene, between these two numbers."""
    rigs: Annotated[tuple[RigKind, ...], arg(metavar="KIND [KIND ...]")] = get_args(RigKind)
    """Where cameras stand: ring, corner, one-sided, ceiling, tripod, any."""
    frames: Annotated[int, arg(metavar="N")] = 24
    """Instants of a scene."""
    fps: Annotated[float, arg(metavar="RATE")] = 12.0
    """Instants per second."""
    image_size: Annotated[tuple[int, int], arg(metavar="HEIGHT WIDTH")] = (480, 640)
    """Size of the pictures in pixels."""
    pictures: Literal["videos", "images"] = "videos"
    """Pictures of trivox's own layout; the others hold images."""
    motion: Annotated[Path | None, unset("DIR")] = None
    """Folder of recorded clips (.npz, docs/synthetic.md); without one, motions are made of joint angles."""
    occlusion: Literal["none", "some", "heavy"] = "some"
    """Furniture and passers-by in the way."""
    effects: Literal["on", "off"] = "on"
    """Blur, noise, exposure, JPEG; off: clean pictures."""
    calibration_noise: Annotated[float, arg(metavar="AMOUNT")] = 0.0
    """Errors of the written calibration, 1 for a hasty one; truth and pictures stay exact."""
    time_offset_ms: Annotated[float, arg(metavar="MS")] = 0.0
    """Standard deviation of how late or early each camera is."""

    def run(self) -> None:
        from trivox.synth import dataset_words, synth
        from trivox.synthetic.scene import SceneOptions

        options = SceneOptions(
            cameras=self.cameras,
            rigs=self.rigs,
            frames=self.frames,
            fps=self.fps,
            image_hw=self.image_size,
            motion=self.motion,
            occlusion=self.occlusion,
            effects=self.effects == "on",
            calibration_noise=self.calibration_noise,
            time_offset_ms=self.time_offset_ms,
        )
        synth(self.out, self.scenes, self.layout, options, self.seed, self.world, self.pictures)
        print(f"wrote {self.scenes} scene{'s' * (self.scenes != 1)} to {self.out}")
        print(f"look at them: trivox dataset check {dataset_words(self.out, self.layout)} --out check.jpg")
