"""Motions without recordings: joint angles within anatomical limits, eased from pose to pose, walked and jumped.

Angles are in degrees. Limits follow the ranges of motion of healthy adults (American Academy of Orthopaedic Surgeons,
Joint Motion, 1965).
"""

from __future__ import annotations

import numpy as np

from trivox.synthetic.rotations import about
from trivox.synthetic.segments import SEGMENTS, Motion

FPS = 30.0
_HIP_HEIGHT_MM = 920.0

# Angle -> (lowest, highest). Those of limbs exist once for each side.
TRUNK_LIMITS = {
    "lean": (-15, 75),
    "roll": (-12, 12),
    "bend": (-20, 45),
    "side_bend": (-25, 25),
    "twist": (-35, 35),
    "look": (-60, 60),
    "nod": (-35, 40),
    "tilt": (-20, 20),
}
LIMB_LIMITS = {
    "shoulder_flex": (-45, 170),
    "shoulder_abduct": (0, 120),
    "shoulder_twist": (-60, 80),
    "elbow": (2, 145),
    "hip_flex": (-20, 115),
    "hip_abduct": (-8, 40),
    "hip_twist": (-20, 35),
    "knee": (2, 135),
    "ankle": (-35, 20),
}
ANGLES = (*TRUNK_LIMITS, *(f"{side}_{angle}" for side in ("left", "right") for angle in LIMB_LIMITS))
_LIMITS = np.array([*TRUNK_LIMITS.values(), *LIMB_LIMITS.values(), *LIMB_LIMITS.values()], np.float64)

Angles = dict[str, float]


def _both(**angles: float) -> Angles:
    return {f"{side}_{name}": value for side in ("left", "right") for name, value in angles.items()}


_STAND = _both(shoulder_abduct=8, elbow=15, knee=4, hip_abduct=3)
_POSES: tuple[Angles, ...] = (
    _STAND,
    _STAND | {"right_shoulder_flex": 85, "right_elbow": 20},
    _STAND | {"left_shoulder_flex": 160, "left_elbow": 15, "left_shoulder_abduct": 15},
    _STAND | _both(shoulder_abduct=85, elbow=8),
    _STAND | _both(shoulder_abduct=45, shoulder_twist=60, elbow=100, shoulder_flex=-15),
    _STAND | _both(shoulder_flex=35, shoulder_twist=70, elbow=105),
    _STAND | {"right_shoulder_flex": 55, "right_elbow": 138, "right_shoulder_abduct": 25, "nod": 12},
    _STAND | {"left_shoulder_abduct": 95, "left_elbow": 85, "left_shoulder_twist": -50},
    _STAND | _both(shoulder_flex=60, elbow=80),
    _STAND | _both(shoulder_flex=165, elbow=15),
    _both(hip_flex=88, knee=90, hip_abduct=12, shoulder_flex=35, elbow=55) | {"lean": 6},
    _both(hip_flex=95, knee=85, hip_abduct=14, shoulder_flex=50, elbow=95) | {"lean": 20, "bend": 15},
    _both(hip_flex=105, knee=125, hip_abduct=18, ankle=15, shoulder_flex=60, elbow=60) | {"lean": 30, "bend": 20},
    _both(hip_flex=45, knee=60, hip_abduct=10, ankle=12, shoulder_flex=80, elbow=20) | {"lean": 25},
    _both(shoulder_flex=75, elbow=10, hip_flex=60, knee=12) | {"lean": 55, "bend": 25},
    _STAND | {"left_hip_flex": 75, "left_knee": 85, "right_hip_flex": -8, "right_knee": 35, "lean": 8},
    _STAND | {"right_hip_flex": 60, "right_knee": 20, "right_ankle": -10, "lean": -8},
    _STAND | {"right_hip_flex": 20, "right_knee": 100, "left_shoulder_flex": 30},
)


def procedural_motion(rng: np.random.Generator, seconds: float, name: str) -> Motion:
    """A motion of the kinds above, drawn from `rng`: poses in a row, a walk, jumps, or standing about."""
    kind = rng.choice(["poses", "walk", "jump", "stand"], p=[0.55, 0.25, 0.08, 0.12])
    count = int(np.ceil(seconds * FPS)) + 1
    time = np.arange(count) / FPS
    if kind == "walk":
        return _walked(rng, time, name)
    angles = _eased_poses(rng, time, calm=kind == "stand")
    lift = np.zeros(count)
    if kind == "jump":
        angles, lift = _jumped(rng, time, angles)
    drift = np.cumsum(_smooth_noise(rng, count, 1.2)[:, None] * [18.0, 10.0], 0)
    yaw = np.radians(40 * _smooth_noise(rng, count, 1.5))
    return _motion(angles + 2.5 * _tremble(rng, count), yaw, drift, lift, name)


def _vector(pose: Angles) -> np.ndarray:
    return np.array([pose.get(name, 0.0) for name in ANGLES])


def _varied_pose(rng: np.random.Generator) -> np.ndarray:
    """One of the poses above or its mirror image, with every angle varied within its limits."""
    pose = _POSES[rng.integers(len(_POSES))]
    if rng.random() < 0.5:
        swap = {"left": "right", "right": "left"}
        pose = {
            (f"{swap[name.split('_')[0]]}_{name.split('_', 1)[1]}" if name.split("_")[0] in swap else name): value
            for name, value in pose.items()
        }
    spread = np.minimum(0.12 * (_LIMITS[:, 1] - _LIMITS[:, 0]), 14.0)
    return np.clip(_vector(pose) + rng.normal(size=len(ANGLES)) * spread, _LIMITS[:, 0], _LIMITS[:, 1])


def _eased_poses(rng: np.random.Generator, time: np.ndarray, calm: bool) -> np.ndarray:
    """Angles (F, A): held poses with eased moves between; a calm person only shifts a little."""
    angles = np.empty((len(time), len(ANGLES)))
    still = _varied_pose(rng)
    start, pose = -rng.uniform(0, 1), still
    while start < time[-1]:
        goal = still + 0.25 * (_varied_pose(rng) - still) if calm else _varied_pose(rng)
        move, hold = rng.uniform(0.45, 1.3), rng.uniform(0.0, 0.8)
        share = np.clip((time - start) / move, 0, 1)
        share = (share**2 * (3 - 2 * share))[:, None]
        rows = time >= start
        angles[rows] = (pose + share * (goal - pose))[rows]
        start, pose = start + move + hold, goal
    return angles


def _walked(rng: np.random.Generator, time: np.ndarray, name: str) -> Motion:
    """Sinusoids of gait (hip, knee, ankle, arms) along a bending path; faster steps are longer."""
    speed = rng.uniform(0.5, 1.9)
    cycle = 1.25 - 0.28 * (speed - 0.5) / 1.4
    phase = 2 * np.pi * (time / cycle + rng.random())
    swing = 14 + 12 * speed
    angles = np.tile(_vector(_STAND), (len(time), 1))
    column = {angle: ANGLES.index(angle) for angle in ANGLES}
    for side, offset in (("left", 0.0), ("right", np.pi)):
        p = phase + offset
        angles[:, column[f"{side}_hip_flex"]] = 6 + swing * np.sin(p)
        angles[:, column[f"{side}_knee"]] = 8 + 26 * speed**0.5 * np.maximum(0, np.cos(p)) ** 1.5 + 6 * np.sin(p) ** 2
        angles[:, column[f"{side}_ankle"]] = -8 * np.cos(p + 0.6)
        angles[:, column[f"{side}_shoulder_flex"]] = -rng.uniform(0.7, 1.1) * swing * np.sin(p)
        angles[:, column[f"{side}_elbow"]] = rng.uniform(12, 60) - 10 * np.sin(p)
    angles[:, column["twist"]] = 6 * np.sin(phase)
    angles[:, column["lean"]] = 2 + 3 * speed
    angles[:, : len(TRUNK_LIMITS)] += 0.5 * _varied_pose(rng)[: len(TRUNK_LIMITS)] * [0, 0.3, 0.3, 0.3, 0.3, 1, 0.5, 1]
    if rng.random() < 0.4:  # one arm does something else: carries, phones, points
        side = rng.choice(["left", "right"])
        held = _varied_pose(rng)
        for angle in ("shoulder_flex", "shoulder_abduct", "shoulder_twist", "elbow"):
            angles[:, column[f"{side}_{angle}"]] = held[column[f"{side}_{angle}"]]
    yaw = np.radians(rng.uniform(-60, 60) * time)
    step = 1000 * speed / FPS * np.stack([np.sin(yaw), -np.cos(yaw)], 1)
    return _motion(angles + 2 * _tremble(rng, len(time)), yaw, np.cumsum(step, 0), np.zeros(len(time)), name)


def _jumped(rng: np.random.Generator, time: np.ndarray, angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Jumps on the spot: knees bend before and after, the feet are up between on a parabola."""
    period, air = rng.uniform(1.0, 1.6), rng.uniform(0.3, 0.5)
    local = (time + rng.uniform(0, period)) % period
    lift = np.where(local < air, 1e3 * 9.81 / 2 * local * (air - local), 0.0)
    ground = np.clip((local - air) / (period - air), 0, 1)
    crouch = np.where(local < air, 0.0, np.sin(np.pi * ground))[:, None]
    squat = _vector(_both(hip_flex=60, knee=85, ankle=15) | {"lean": 20})
    legs = np.array(["hip" in name or "knee" in name or "ankle" in name or name == "lean" for name in ANGLES])
    return np.where(legs, _vector(_STAND) + crouch * squat, angles), lift


def _smooth_noise(rng: np.random.Generator, count: int, seconds: float) -> np.ndarray:
    """A wandering number (F,) of unit size, that changes over `seconds`."""
    knots = int(np.ceil(count / FPS / seconds)) + 2
    return np.interp(np.arange(count) / FPS / seconds, np.arange(knots), rng.normal(size=knots))


def _tremble(rng: np.random.Generator, count: int) -> np.ndarray:
    return np.stack([_smooth_noise(rng, count, 0.35) for _ in ANGLES], 1)


def _motion(angles: np.ndarray, yaw: np.ndarray, path_mm: np.ndarray, lift_mm: np.ndarray, name: str) -> Motion:
    """Segment frames from angles (F, A), kept within their limits, and the heading: along -y at 0."""
    angles = np.clip(angles, _LIMITS[:, 0], _LIMITS[:, 1])
    rad = {angle: np.radians(angles[:, i]) for i, angle in enumerate(ANGLES)}
    pelvis = about("z", yaw) @ about("x", rad["lean"]) @ about("y", rad["roll"])
    chest = pelvis @ about("z", rad["twist"]) @ about("x", rad["bend"]) @ about("y", rad["side_bend"])
    head = chest @ about("z", rad["look"]) @ about("x", rad["nod"]) @ about("y", rad["tilt"])
    frames = {"pelvis": pelvis, "chest": chest, "head": head}
    for side, sign in (("left", -1.0), ("right", 1.0)):
        frames |= _limbs(side, sign, pelvis, chest, rad)
    root = np.concatenate([path_mm, np.full((len(yaw), 1), _HIP_HEIGHT_MM)], 1)
    stacked = np.stack([frames[segment] for segment in SEGMENTS], 1)
    return Motion(stacked, root, _HIP_HEIGHT_MM, FPS, True, lift_mm, name)


# Frames of a limb that hangs down, and of a foot on the floor whose toes lie lower than the ankle.
_HANGING = np.diag([1.0, -1.0, -1.0])
_STANDING_FOOT = about("x", np.pi / 2 + np.radians(20))


def _limbs(side: str, sign: float, pelvis: np.ndarray, chest: np.ndarray, rad: dict) -> dict[str, np.ndarray]:
    """Arm and leg of one side; abduction leads away from the body on either side."""
    arm = chest @ about("y", sign * rad[f"{side}_shoulder_abduct"]) @ about("x", -rad[f"{side}_shoulder_flex"])
    arm = arm @ about("z", sign * rad[f"{side}_shoulder_twist"])
    thigh = pelvis @ about("x", -rad[f"{side}_hip_flex"]) @ about("y", sign * rad[f"{side}_hip_abduct"])
    thigh = thigh @ about("z", -sign * rad[f"{side}_hip_twist"])
    shank = thigh @ about("x", rad[f"{side}_knee"])
    return {
        f"{side}_upper_arm": arm @ _HANGING,
        f"{side}_forearm": arm @ about("x", -rad[f"{side}_elbow"]) @ _HANGING,
        f"{side}_thigh": thigh @ _HANGING,
        f"{side}_shank": shank @ _HANGING,
        f"{side}_foot": shank @ about("x", -rad[f"{side}_ankle"]) @ _STANDING_FOOT,
    }
