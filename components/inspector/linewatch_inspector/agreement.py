"""How often people agree with the verdicts, of the parts drawn at random: labels of other parts would bend every rate."""

from linewatch_common.errors import UnavailableError
from linewatch_common.ledger import LedgerReader

from linewatch_inspector.captures.choice import Choice

_KEYS = {"pass": ("passed", "escapes"), "fail": ("failed", "false_rejects")}


def agreement(ledger: LedgerReader, choice: Choice, since: str) -> dict[str, int]:
    """Labelled parts captured since then, as in FleetHealth.labels; empty when nothing was drawn or the ledger cannot be read now."""
    try:
        said = ledger.labelled(since)
    except UnavailableError:
        return {}
    counts: dict[str, int] = {}
    for frame_id, (judged, label) in said.items():
        if judged not in _KEYS or not choice.drawn(frame_id):
            continue
        labelled, mistaken = _KEYS[judged]
        counts[labelled] = counts.get(labelled, 0) + 1
        counts[mistaken] = counts.get(mistaken, 0) + (judged != label)
    return counts
