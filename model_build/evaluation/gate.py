"""The gate before the registry: what a model must show. A model that always says normal, or always defective, fails."""

from dataclasses import dataclass
from math import comb

from model_build.evaluation.evaluate import Evaluation
from model_build.evaluation.intervals import LEVEL


@dataclass(frozen=True, slots=True)
class Demands:
    """Limits on the test split: shares of the defective and of the good, at the chosen operating point."""

    image_ap: float = 0.9
    escapes: float = 0.1
    false_rejects: float = 0.1
    reviews: float = 0.2


def refusals(evaluation: Evaluation, demands: Demands) -> list[str]:
    """Why the model does not pass, one line each; nothing when it does."""
    seen = evaluation.outcome
    total = seen.defective + seen.good
    lines = []
    if evaluation.image_ap < demands.image_ap:
        lines.append(f"image AP {evaluation.image_ap:.4f} is below {demands.image_ap}")
    if evaluation.auroc_interval is None or evaluation.auroc_interval[0] <= 0.5:
        lines.append(f"AUROC {evaluation.auroc:.4f} is not above chance with 95 % confidence")
    elif 1 / comb(total, seen.defective) > 1 - LEVEL:  # redrawing shows no doubt where all lie in order
        lines.append(
            f"{seen.defective} defective among {total} test pictures: chance alone puts them in order too often"
        )
    if seen.escapes > demands.escapes * seen.defective:
        lines.append(f"{seen.escapes} of {seen.defective} defective pictures escape, over {demands.escapes:.0%}")
    if seen.false_rejects > demands.false_rejects * seen.good:
        lines.append(
            f"{seen.false_rejects} of {seen.good} good pictures are rejected, over {demands.false_rejects:.0%}"
        )
    if seen.reviews > demands.reviews * total:
        lines.append(f"{seen.reviews} of {total} pictures go to review, over {demands.reviews:.0%}")
    return lines
