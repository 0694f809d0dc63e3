"""From the devices' running counts to one row a day and model. Pure."""

import re
from collections.abc import Iterable, Mapping

import msgspec
from linewatch_common.messages.fleet import SCORE_BINS, FleetHealth

# Whose score a verdict carries: of an inspector alone where there is one, else of the classifier (docs/inspector.md).
_SCORING_ROLES = ("inspector", "classifier")
_MODEL = re.compile(r"[A-Za-z0-9-]{1,100}")  # the agent's identifiers; it becomes part of a key
LABELS = ("passed", "escapes", "failed", "false_rejects")
FIRST_DAYS, LAST_DAYS = 60, 60  # of a model's life that are kept; what is judged lies in both


class Counts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a device counted for one model, from `since` on (its clock)."""

    model: str
    since: str
    scores: list[int] = []
    labels: dict[str, int] = {}


class Day(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All devices' parts of one model on one day (UTC)."""

    day: str
    devices: int = 0
    scores: list[int] = msgspec.field(default_factory=lambda: [0] * SCORE_BINS)
    labels: dict[str, int] = {}

    @property
    def parts(self) -> int:
        """With a score."""
        return sum(self.scores)


class Life(msgspec.Struct, kw_only=True, tag_field="schema", tag="linewatch.ModelLife/1"):
    """A model's days, oldest first."""

    model: str
    days: list[Day] = []

    def add(self, day: Day) -> None:
        """The day's row; a day that was folded already is replaced. Days between the first and the last FIRST_DAYS and LAST_DAYS go."""
        self.days = sorted([*(each for each in self.days if each.day != day.day), day], key=lambda each: each.day)
        if len(self.days) > FIRST_DAYS + LAST_DAYS:
            self.days = self.days[:FIRST_DAYS] + self.days[-LAST_DAYS:]


def counts_of(report: FleetHealth) -> Counts | None:
    """A report's running counts; None when no model that gives a score is in use, or the histogram is not one."""
    by_role = {use.role: use.identifier for use in report.models}
    model = next((by_role[role] for role in _SCORING_ROLES if role in by_role), "")
    if not _MODEL.fullmatch(model) or len(report.scores) != SCORE_BINS or min(report.scores) < 0:
        return None
    labels = {key: report.labels.get(key, 0) for key in LABELS if report.labels.get(key, 0) > 0}
    return Counts(model=model, since=report.since, scores=report.scores, labels=labels)


def day_of(day: str, before: Mapping[str, Counts], now: Mapping[str, Counts]) -> dict[str, Day]:
    """What came since `before`, by model. A device that is seen for the first time only begins: its counts may be of weeks."""
    grown: dict[str, list[Counts]] = {}
    for thing, counts in now.items():
        if thing in before:
            grown.setdefault(counts.model, []).append(_grown(before[thing], counts))
    return {model: _sum(day, parts) for model, parts in sorted(grown.items())}


def _grown(before: Counts, now: Counts) -> Counts:
    """Counts begin anew, and `since` with them, when Inspector starts or the models change."""
    if (before.model, before.since) != (now.model, now.since):
        return now
    scores = [max(0, new - old) for new, old in zip(now.scores, before.scores, strict=True)]
    labels = {key: count - before.labels.get(key, 0) for key, count in now.labels.items()}
    return msgspec.structs.replace(now, scores=scores, labels={key: max(0, count) for key, count in labels.items()})


def _sum(day: str, parts: Iterable[Counts]) -> Day:
    rows = list(parts)
    labels: dict[str, int] = {}
    for row in rows:
        for key, count in row.labels.items():
            labels[key] = labels.get(key, 0) + count
    scores = [sum(bins) for bins in zip(*(row.scores for row in rows), strict=True)]
    return Day(day=day, devices=len(rows), scores=scores, labels=labels)
