"""What is learned, how fast, and what stays: groups of weights, the schedule, averaged weights, batch norm."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from trivox.errors import InputError
from trivox.models.configs import Model
from trivox.models.volumetric import Volumetric
from trivox.training.config import OptimizerOptions


def freeze_what_stays(model: Model, options: OptimizerOptions) -> dict[str, dict[str, nn.Parameter]]:
    """The weights that are learned, by group and name; all others no longer ask for gradients.

    Frozen are groups whose learning rate is 0, and what has no part in the answer: heads that nobody reads, and the
    heatmaps of a volumetric model, which sees features. Raises `InputError` where nothing is left.
    """
    rates = learning_rates(options)
    groups: dict[str, dict[str, nn.Parameter]] = {name: {} for name in rates}
    for name, parameter in model.named_parameters():
        group = _group_of(name)
        learned = rates[group] > 0 and not _is_idle(name, model)
        parameter.requires_grad_(learned)
        if learned:
            groups[group][name] = parameter
    learned_groups = {name: members for name, members in groups.items() if members}
    if not learned_groups:
        raise InputError("every part of the model is frozen (learning rate 0); let one of them learn")
    return learned_groups


def learning_rates(options: OptimizerOptions) -> dict[str, float]:
    """Of every group, before any schedule."""
    own = {
        "backbone": options.backbone_lr,
        "heads": options.heads_lr,
        "features": options.features_lr,
        "volume": options.volume_lr,
    }
    return {name: options.lr if rate is None else rate for name, rate in own.items()}


def _group_of(name: str) -> str:
    if "_confidences." in name:
        return "heads"
    if name.startswith("backbone."):
        return "backbone"
    return "features" if name.startswith("process_features.") else "volume"


def _is_idle(name: str, model: Model) -> bool:
    if isinstance(model, Volumetric):
        conf = model.aggregation.startswith("conf")
        heatmaps = name.startswith(("backbone.final_layer.", "backbone.heatmaps."))
        return heatmaps or "alg_confidences." in name or ("vol_confidences." in name and not conf)
    return "vol_confidences." in name or ("alg_confidences." in name and not getattr(model, "use_confidences", False))


def make_optimizer(
    groups: Mapping[str, Mapping[str, nn.Parameter]], options: OptimizerOptions
) -> torch.optim.Adam | torch.optim.AdamW:
    """Adam, or AdamW where weights decay, with one group for each rate."""
    rates = learning_rates(options)
    given = [
        {"params": list(members.values()), "lr": rates[name], "name": name, "full_lr": rates[name]}
        for name, members in groups.items()
    ]
    if options.weight_decay:
        return torch.optim.AdamW(given, weight_decay=options.weight_decay)
    return torch.optim.Adam(given)


def rate_factor(step: int, steps: int, options: OptimizerOptions) -> float:
    """By what the learning rates are multiplied in a step (from 0) of a run of so many."""
    warm_up = options.warm_up_steps
    if step < warm_up:
        return (step + 1) / (warm_up + 1)
    done = (step - warm_up) / max(1, steps - warm_up)
    return {"constant": 1.0, "cosine": 0.5 * (1 + math.cos(math.pi * done)), "linear": 1 - done}[options.schedule]


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = group["full_lr"] * factor


class Averaged:
    """Exponential moving average of learned weights: what is evaluated and saved, where it is asked for.

    In the first steps it is a plain mean of those there were, so that the first weights do not linger.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], stays: float) -> None:
        self.parameters, self.stays = dict(parameters), stays
        self.weights: dict[str, Tensor] = {name: p.detach().clone() for name, p in parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the weights after a step (from 0) in."""
        stays = min(self.stays, (step + 1) / (step + 2))
        for name, mean in self.weights.items():
            mean.lerp_(self.parameters[name].detach(), 1 - stays)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the averaged weights while this lasts."""
        own = {name: p.detach().clone() for name, p in self.parameters.items()}
        self._set(self.weights)
        try:
            yield
        finally:
            self._set(own)

    @torch.no_grad()
    def _set(self, weights: Mapping[str, Tensor]) -> None:
        for name, parameter in self.parameters.items():
            parameter.copy_(weights[name])


def norms_of(module: nn.Module) -> list[_BatchNorm]:
    return [part for part in module.modules() if isinstance(part, _BatchNorm)]


def learning(model: Model, is_live: bool) -> None:
    """Ready for a step: statistics of batch norm stay as they are, or, if live, those of parts that learn do not."""
    model.train()
    for norm in norms_of(model):
        norm.train(is_live and learns(norm))


def learns(norm: _BatchNorm) -> bool:
    return any(p.requires_grad for p in norm.parameters())


def freezing_step(steps: int, options: OptimizerOptions) -> int:
    """Before which step (from 0) of a run of so many the statistics of batch norm become frozen."""
    if options.batch_norm == "frozen":
        return 0
    return steps if options.freeze_after is None else round(options.freeze_after * steps)


@contextmanager
def measuring(norms: Iterable[_BatchNorm]) -> Iterator[None]:
    """While this lasts these norms use the statistics of their batch, and keep the mean of what they saw."""
    norms = list(norms)
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over batches
        norm.train()
    yield
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum
        norm.eval()
