"""What the random draw says of the fleet: rates with intervals, and how often people disagree. Other strata tell of no rates."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from linewatch_common.captured import CapturedLabel
from linewatch_common.messages import Outcome

from model_build.captures.lines import CapturedSet
from model_build.evaluation.intervals import Interval, proportion

_Said = tuple[Outcome, CapturedLabel | None]  # the verdict in time or not, and a person's word


@dataclass(frozen=True, slots=True)
class ModelRates:
    """One model's parts in the random draw; intervals at 95 %.

    `rejects`: fail or review. The last four are of the drawn parts that a person labelled: `escapes` passed and are
    defective, `false_rejects` failed and are good. A `review` is no verdict, so nobody can disagree with it.
    """

    model: str
    drawn: int
    rejects: int
    reject_rate: Interval
    labelled: int
    escapes: int
    false_rejects: int
    disagreement: Interval


def rates(found: CapturedSet) -> list[ModelRates]:
    """One row a model, by its identifier."""
    drawn: dict[str, list[_Said]] = defaultdict(list)
    for key, captured in found.inspections.items():
        if captured.record.stratum == "random":
            verdict = captured.record.inspection
            said = (verdict.judged or verdict.outcome, found.labels.get(key))
            drawn[verdict.models[0].identifier].append(said)
    return [_row(model, drawn[model]) for model in sorted(drawn)]


def _row(model: str, said: Sequence[_Said]) -> ModelRates:
    rejects = sum(outcome in (Outcome.FAIL, Outcome.REVIEW) for outcome, _ in said)
    words = [(outcome, label.verdict_label) for outcome, label in said if label and outcome is not Outcome.REVIEW]
    escapes = words.count((Outcome.PASS, "fail"))
    false_rejects = words.count((Outcome.FAIL, "pass"))
    return ModelRates(
        model=model,
        drawn=len(said),
        rejects=rejects,
        reject_rate=proportion(rejects, len(said)),
        labelled=len(words),
        escapes=escapes,
        false_rejects=false_rejects,
        disagreement=proportion(escapes + false_rejects, len(words)),
    )
