"""Which inspections are captured. Pure, and the same for a frame whenever it is asked."""

import hashlib
from dataclasses import dataclass

from linewatch_common.captured import Stratum
from linewatch_common.messages import Outcome, Verdict

_PASSED = (Outcome.PASS,)


@dataclass(frozen=True, slots=True)
class Choice:
    """`percent` of all judged parts are drawn; with `not_pass` all that did not pass come as well."""

    percent: float
    not_pass: bool

    @property
    def any(self) -> bool:
        """Whether captures are wanted at all."""
        return self.percent > 0 or self.not_pass

    def stratum(self, verdict: Verdict) -> Stratum | None:
        """Why this inspection is captured, or None. Without a model's word there is nothing to learn from.

        The draw hangs on the frame's id alone, so what a model says of a part does not change its chance.
        """
        if not verdict.models:
            return None
        if self.drawn(verdict.frame_id):
            return "random"
        outcome = verdict.judged or verdict.outcome
        return "not-pass" if self.not_pass and outcome not in _PASSED else None

    def drawn(self, frame_id: str) -> bool:
        """Whether a judged part is in the random draw."""
        return _drawn(frame_id) < self.percent / 100


def _drawn(frame_id: str) -> float:
    """A number in [0, 1) that any process draws alike for this frame."""
    return int.from_bytes(hashlib.blake2b(frame_id.encode(), digest_size=8).digest()) / 2**64
