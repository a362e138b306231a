"""Damaged files of every format: a rig or one sentence, never another error."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trivox.errors import InputError
from trivox.files.calibrations import FORMAT_NAMES, load_rig, save_rig
from trivox.geometry.cameras import Cameras
from trivox.geometry.rig import Rig

UP = {"qualisys": (0, 0, 1), "voxelpose": (0, 0, 1), "human36m": (0, 0, 1), "panoptic": (0, -1, 0)}
FILES = {"opencv": "rig.yml", "easymocap": "intri.yml"}
CASES = [(form, FILES.get(form, "rig")) for form in FORMAT_NAMES] + [("opencv", "rig.xml")]
# What turns up in files that went wrong, and what strangers put there.
JUNK = [
    "nan",
    "inf",
    "-1",
    "0",
    "1e400",
    "null",
    "true",
    '"x"',
    "[]",
    "{}",
    "[[1]]",
    "\x00",
    "\ufeff",
    "é",
    "é" * 300,
]


@pytest.fixture
def path(tmp_path: Path, form: str, name: str) -> Path:
    """Where a rig of two cameras was written; every example spoils it anew."""
    count = 2
    K = torch.tensor([[800.0, 0.0, 320.0], [0.0, 790.0, 240.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    cameras = Cameras(
        K=K.expand(count, 3, 3),
        R=torch.eye(3, dtype=torch.float64).expand(count, 3, 3),
        t_mm=torch.tensor([[0.0, 0.0, 2500.0], [1000.0, 0.0, 2500.0]], dtype=torch.float64),
        distortion=torch.tensor([[0.0 if form == "mvor" else 0.01, 0, 0, 0, 0]] * count, dtype=torch.float64),
        image_hw=torch.tensor([[480, 640]] * count),
    )
    up = torch.tensor(UP[form], dtype=torch.float64) if form in UP else None
    save_rig(Rig(("cam_0", "cam_1"), cameras, up), tmp_path / name, format=form)
    return tmp_path / name


@pytest.fixture
def content(path: Path) -> bytes:
    """What was written."""
    return path.read_bytes()


def _loads_or_refuses(path: Path) -> None:
    try:
        rig = load_rig(path)
    except InputError as error:
        assert str(error) and "\n" not in str(error) and len(str(error)) < 1000 + len(str(path))
        return
    for field in ("K", "R", "t_mm", "distortion"):
        assert torch.isfinite(getattr(rig.cameras, field)).all()
    torch.testing.assert_close(rig.cameras.R.det(), torch.ones(len(rig), dtype=torch.float64), atol=1e-2, rtol=0)


@pytest.mark.parametrize(("form", "name"), CASES)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes(path: Path, content: bytes, data: st.DataObject):
    start = data.draw(st.integers(0, len(content)))
    length = data.draw(st.sampled_from([0, 1, 2, 5, 20, len(content)]))
    filling = data.draw(st.one_of(st.sampled_from([junk.encode() for junk in JUNK]), st.binary(max_size=4)))
    path.write_bytes(content[:start] + filling + content[start + length :])
    _loads_or_refuses(path)


@pytest.mark.parametrize(("form", "name"), CASES)
def test_numbers_that_went_wrong(path: Path):
    """Each number of the file in turn replaced by junk."""
    text = path.read_text()
    rng = np.random.default_rng(0)
    digits = [i for i in range(1, len(text)) if text[i].isdigit() and text[i - 1] in ' [">,=\n']
    for i in rng.choice(digits, 40):
        end = next(j for j in range(i, len(text)) if text[j] not in "0123456789.e-+_")
        path.write_text(text[:i] + JUNK[rng.integers(len(JUNK))] + text[end:])
        _loads_or_refuses(path)


def _places(content: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a parsed document."""
    keys = list(content) if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else []
    return [place for key in keys for place in [(content, key), *_places(content[key])]]


@pytest.mark.parametrize(("form", "name"), [(f, "rig") for f in ("panoptic", "human36m", "mvor", "voxelpose", "list")])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    where=st.integers(0, 10**6),
    value=st.sampled_from([..., None, True, "x", "", -1, 0, 2.5, 1e300, 10**400, [], {}, [[]], {"a": 1}, [None], [{}]]),
)
def test_other_values(path: Path, content: bytes, where: int, value: Any):
    """Well-formed JSON in which one value is gone or is another."""
    document = json.loads(content)
    places = _places(document)
    container, key = places[where % len(places)]
    if value is ...:
        del container[key]
    else:
        container[key] = value
    path.write_text(json.dumps(document))
    _loads_or_refuses(path)
