"""How far predicted poses are from true ones, by stated protocols. docs/protocols.md has every definition."""

from trivox.metrics.evaluation import AVERAGE, Evaluation, Score, evaluated
from trivox.metrics.protocols import PROTOCOLS, Protocol, protocol_named
from trivox.metrics.truth import Truth, truth_of_labels, truth_of_poses

__all__ = [
    "AVERAGE",
    "PROTOCOLS",
    "Evaluation",
    "Protocol",
    "Score",
    "Truth",
    "evaluated",
    "protocol_named",
    "truth_of_labels",
    "truth_of_poses",
]
