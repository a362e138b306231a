"""One process or several: what they add up and share. `torchrun` starts them, Lightning Fabric joins them."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed
from torch import Tensor

from trivox.errors import InputError
from trivox.models.packed import has_bfloat16
from trivox.progress import say
from trivox.training.config import Experiment


@dataclass(frozen=True)
class Processes:
    """Lightning Fabric, and which of how many processes this is."""

    fabric: Any
    rank: int
    size: int

    @property
    def is_first(self) -> bool:
        """Whether this one writes."""
        return self.rank == 0

    def summed(self, values: Tensor) -> Tensor:
        """The sum over all processes, on the CPU."""
        if self.size == 1:
            return values.detach().cpu()
        return self.fabric.all_reduce(values.detach().to(self.fabric.device), reduce_op="sum").cpu()

    def peak_memory_mb(self) -> float | None:
        """The most memory that this process has held: of the GPU where it computes on one. None where nobody counts."""
        if self.fabric.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.fabric.device) / 1e6
        if sys.platform == "win32":
            return None
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6

    def joined(self, values: list[str]) -> list[str]:
        """The texts of all processes, in the order of these."""
        if self.size == 1:
            return values
        of_all: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(of_all, values)
        return [value for part in of_all for value in part]


def start(experiment: Experiment) -> Processes:
    """Join the processes that torchrun has started; alone without it. Raises `InputError` for a missing device.

    On a machine with several GPUs torchrun gives each process its own.
    """
    try:
        from lightning_fabric import Fabric
    except ModuleNotFoundError as error:
        raise InputError("training needs Lightning Fabric; install it: pip install 'trivox[train]'") from error
    has_gpu = torch.cuda.is_available()
    if experiment.run.device == "cuda" and not has_gpu:
        raise InputError("run.device is cuda, but torch finds no GPU here; take cpu or auto")
    size, local = (int(os.environ.get(name, "1")) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    on_gpu = has_gpu and experiment.run.device != "cpu"
    precision = experiment.run.precision
    if precision == "bf16-mixed" and not on_gpu and not has_bfloat16():
        precision = "32-true"
        if os.environ.get("RANK", "0") == "0":
            say("this processor has no bfloat16 of its own (run.precision): computing in float32, which is faster here")
    fabric = Fabric(
        accelerator="cuda" if on_gpu else "cpu",
        strategy="ddp" if size > 1 else "auto",
        devices=local if size > 1 else 1,
        num_nodes=max(1, size // local),
        precision=precision,
    )
    fabric.launch()
    _check(experiment, fabric.world_size, fabric.device.type)
    return Processes(fabric, fabric.global_rank, fabric.world_size)


def _check(experiment: Experiment, size: int, device: str) -> None:
    optimizer = experiment.optimizer
    if optimizer.batch_size % (size * optimizer.accumulate):
        raise InputError(
            f"optimizer.batch_size is {optimizer.batch_size}, which {size} processes with {optimizer.accumulate} parts "
            f"each cannot share evenly; take a multiple of {size * optimizer.accumulate}"
        )
    if optimizer.batch_norm == "live" and size > 1 and device == "cpu":
        raise InputError(
            "optimizer.batch_norm is live, which several processes on CPUs cannot synchronise; take frozen, or a "
            "single process"
        )
