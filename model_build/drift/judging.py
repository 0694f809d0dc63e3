"""Is a model's last week like its first weeks? Two questions, each answered by `yes`, `no`, or `inconclusive`, which is no alert. Pure.

Drift: do the scores lie otherwise? The unit is a day, not a part: parts of one day are alike, so a test over parts would find each
Monday significant. Each day's histogram has a distance (Jensen-Shannon, J. Lin, IEEE Trans. Inf. Theory 37, 1991) from the first
weeks'; a day of the first weeks from the others of them. The last days' distances are compared with theirs by the rank test of H. Mann
and D. Whitney (Ann. Math. Stat. 18, 1947), and the pooled week must lie farther than MINIMUM_DISTANCE: a difference that is certain and
does not matter is no drift.

Disagreement: do people overrule the verdicts more often than in the first weeks? Of the labelled parts of the random draw, escapes
among what passed and false rejects among what failed, each by Fisher's exact test (J. R. Stat. Soc. 85, 1922) at half the level
(Bonferroni).
"""

from collections.abc import Sequence
from datetime import date, timedelta
from enum import StrEnum

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from scipy.stats import fisher_exact, mannwhitneyu

from model_build.drift.days import Day

FIRST_DAYS, LAST_DAYS = 14, 7  # days that count for the comparison; those with few parts do not
MINIMUM_PARTS = 2_000  # of a day: fewer make a distance by chance
STALE = timedelta(days=14)  # the last days must lie within: an old week says nothing of today
MINIMUM_DISTANCE = 0.1  # 0: the same, 1: nothing in common
MINIMUM_LABELS = 50  # on each side
MINIMUM_RISE = 0.05  # of a rate of disagreement
# One look a day; a model that is as it was should raise no alert in years (tests/unit/model_build/test_drift.py counts).
LEVEL = 0.001


class Kind(StrEnum):
    """What was asked."""

    DRIFT = "drift"
    DISAGREEMENT = "disagreement"


class Answer(StrEnum):
    """What was found."""

    YES = "yes"
    NO = "no"
    INCONCLUSIVE = "inconclusive"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One answer, with the figures it rests on."""

    kind: Kind
    answer: Answer
    reason: str
    figures: dict[str, float] = {}


def judge(days: Sequence[Day], today: date) -> list[Finding]:
    """Both answers, by the days of one model up to today."""
    enough = [day for day in days if day.parts >= MINIMUM_PARTS]
    first, last = enough[:FIRST_DAYS], enough[FIRST_DAYS:][-LAST_DAYS:]
    if len(last) < LAST_DAYS or date.fromisoformat(last[0].day) < today - STALE:
        reason = f"{len(first)} of {FIRST_DAYS} first and {len(last)} of {LAST_DAYS} recent days have {MINIMUM_PARTS} parts or more"
        return [Finding(kind=kind, answer=Answer.INCONCLUSIVE, reason=reason) for kind in Kind]
    return [_drift(first, last), _disagreement(first, last)]


def _drift(first: Sequence[Day], last: Sequence[Day]) -> Finding:
    own = [_distance(_pooled([day]), _pooled([each for each in first if each is not day])) for day in first]
    reference = _pooled(first)
    recent = [_distance(_pooled([day]), reference) for day in last]
    chance = float(mannwhitneyu(recent, own, alternative="greater", method="exact").pvalue)
    far = _distance(_pooled(last), reference)
    answer = Answer.YES if far >= MINIMUM_DISTANCE and chance < LEVEL else Answer.NO
    reason = (
        f"scores of {last[0].day} to {last[-1].day} are {far:.3f} away from those of {first[0].day} to {first[-1].day} "
        f"(alert from {MINIMUM_DISTANCE}), p = {chance:.2g} (alert below {LEVEL:g})"
    )
    return Finding(kind=Kind.DRIFT, answer=answer, reason=reason, figures={"distance": round(far, 4), "p": chance})


def _disagreement(first: Sequence[Day], last: Sequence[Day]) -> Finding:
    lines: list[str] = []
    figures: dict[str, float] = {}
    answers: set[Answer] = set()
    for labelled, mistaken in (("passed", "escapes"), ("failed", "false_rejects")):
        old, new = (_rate(days, labelled, mistaken) for days in (first, last))
        if min(old[1], new[1]) < MINIMUM_LABELS:
            lines.append(f"{mistaken}: {old[1]} and {new[1]} labels, {MINIMUM_LABELS} are needed")
            answers.add(Answer.INCONCLUSIVE)
            continue
        table = [[new[0], new[1] - new[0]], [old[0], old[1] - old[0]]]
        chance = float(fisher_exact(table, alternative="greater").pvalue)
        rise = new[0] / new[1] - old[0] / old[1]
        answers.add(Answer.YES if rise >= MINIMUM_RISE and chance < LEVEL / 2 else Answer.NO)
        lines.append(f"{mistaken}: {old[0]} of {old[1]} labelled then, {new[0]} of {new[1]} now, p = {chance:.2g}")
        figures |= {f"{mistaken}_rise": round(rise, 4), f"{mistaken}_p": chance}
    answer = next(each for each in (Answer.YES, Answer.INCONCLUSIVE, Answer.NO) if each in answers)
    return Finding(kind=Kind.DISAGREEMENT, answer=answer, reason="; ".join(lines), figures=figures)


def _rate(days: Sequence[Day], labelled: str, mistaken: str) -> tuple[int, int]:
    """Mistaken, and of how many."""
    total = sum(day.labels.get(labelled, 0) for day in days)
    return min(total, sum(day.labels.get(mistaken, 0) for day in days)), total


def _pooled(days: Sequence[Day]) -> NDArray[np.float64]:
    total: NDArray[np.float64] = np.asarray([day.scores for day in days], np.float64).sum(axis=0)
    return total


def _distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(jensenshannon(one, other, base=2))
