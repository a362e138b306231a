"""Weights are loaded whole and checked, or refused in one sentence."""

import hashlib
import resource
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from trivox.errors import InputError
from trivox.models.weights import BUNDLED, SHA256, load_weights, read_pickled, read_safetensors


def saved(path: Path, network: nn.Module) -> Path:
    save_file(network.state_dict(), path)
    return path


def test_round_trip_through_half_precision(tmp_path: Path) -> None:
    network, other = nn.Linear(3, 2), nn.Linear(3, 2)
    path = saved(tmp_path / "w.safetensors", network.half())
    load_weights(other, path, hashlib.sha256(path.read_bytes()).hexdigest())
    assert other.weight.dtype == torch.float32
    torch.testing.assert_close(other.weight, network.weight.float(), atol=0, rtol=0)


def test_every_bundled_file_is_recorded_and_sound() -> None:
    assert {path.stem for path in BUNDLED.glob("*.safetensors")} == set(SHA256)
    for name, digest in SHA256.items():
        tensors = read_safetensors(BUNDLED / f"{name}.safetensors", digest).tensors
        dtypes = {tensor.dtype for tensor in tensors.values()}
        assert not name.startswith("movenet") or dtypes == {torch.float16}


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"\xff" * 7, b"PK\x03\x04 not weights", b"{" * 64])
def test_garbage_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"w\.safetensors"):
        load_weights(nn.Linear(3, 2), path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.safetensors", nn.Linear(3, 2))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="not a safetensors file"):
        load_weights(nn.Linear(3, 2), path)


def test_one_changed_bit_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.safetensors", nn.Linear(3, 2))
    content = bytearray(path.read_bytes())
    digest = hashlib.sha256(content).hexdigest()
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="SHA-256"):
        load_weights(nn.Linear(3, 2), path, digest)


@pytest.mark.parametrize("missing", ["nowhere/w.safetensors", "."])
def test_a_missing_file_or_a_folder_is_refused(tmp_path: Path, missing: str) -> None:
    with pytest.raises(InputError, match="there is no file|it is a folder"):
        load_weights(nn.Linear(3, 2), tmp_path / missing)


@pytest.mark.parametrize("other", [nn.Linear(2, 3), nn.Linear(3, 2, bias=False), nn.Sequential(nn.Linear(3, 2))])
def test_weights_of_another_network_are_refused(tmp_path: Path, other: nn.Module) -> None:
    path = saved(tmp_path / "w.safetensors", other)
    with pytest.raises(InputError, match="Linear needs"):
        load_weights(nn.Linear(3, 2), path)


def test_nan_is_refused(tmp_path: Path) -> None:
    network = nn.Linear(3, 2)
    nn.init.constant_(network.bias, float("nan"))
    with pytest.raises(InputError, match="bias holds NaN"):
        load_weights(nn.Linear(3, 2), saved(tmp_path / "w.safetensors", network))


def repacked(source: Path, target: Path, packed: int, pickled: bytes | None = None) -> None:
    """A checkpoint with its parts packed in another way, or another program in it."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", packed) as new:
        for info in old.infolist():
            replaced = pickled is not None and info.filename.endswith("data.pkl")
            new.writestr(info.filename, pickled if replaced and pickled else old.read(info))


def test_a_checkpoint_takes_no_more_memory_than_the_file_has(tmp_path: Path) -> None:
    """One number repeated, overlapping rows, one tensor under many names, packed zeros, an array made of a number."""
    path, other = tmp_path / "c.pth", tmp_path / "other.pth"
    shared = torch.zeros(2**16)
    made = b"\x80\x02cbuiltins\nbytearray\nJ" + struct.pack("<i", 2**30) + b"\x85R."
    tensor = b"\x80\x02}X\x01\x00\x00\x00actorch\nFloatTensor\nJ" + struct.pack("<i", 2**30) + b"\x85Rs."
    torch.save({"a": shared, "b": shared}, path)  # tied weights are no fault
    assert len(read_pickled(path)) == 2
    torch.save({"a": torch.zeros(2**22)}, other)
    repacked(other, path, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 2**16
    harmful: list[object] = [
        {"a": torch.zeros(1).expand(2**33)},
        {"a": torch.zeros(2**16).as_strided((2**8, 2**15), (1, 1))},
        {f"a{i}": shared for i in range(100)},
        made,
        tensor,
    ]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="damaged"):
        read_pickled(path)
    for content in harmful:
        if isinstance(content, bytes):
            repacked(other, path, zipfile.ZIP_STORED, content)
        else:
            torch.save(content, path)
        with pytest.raises(InputError, match="more than the file holds|damaged"):
            read_pickled(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 100_000  # kilobytes
