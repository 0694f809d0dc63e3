"""What Inspector hands the agent as captured data, and what the training side reads back: one form, one place.

A capture of an inspection has the id `<frame_id>` and carries `inspection.json` (CapturedInspection), the picture
(`picture.png`, lossless; `picture.jpg` where only the store's copy was left) and, where a segmenter ran, `mask.png`. A
person's word on a verdict is a capture of its own, `<frame_id>-label-<command_id>` (a digest of it where it is long or
has other characters than letters, digits and `.-_`), with `annotation.json` (CapturedLabel).
"""

from typing import Annotated, Literal

import msgspec

from linewatch_common.messages.base import Identifier, Reason, UtcTime
from linewatch_common.messages.verdicts import Outcome, Verdict

INSPECTION_NAME = "inspection.json"
# Not `label…`: the agent takes an item of that name for the sign of an ordinary part, which may be dropped first.
ANNOTATION_NAME = "annotation.json"
PICTURE_NAME = "picture.png"
STORED_PICTURE_NAME = "picture.jpg"
MASK_NAME = "mask.png"

Stratum = Literal["random", "not-pass", "labelled"]


class CapturedInspection(msgspec.Struct, frozen=True, kw_only=True):
    """Why an inspection was captured, and its verdict.

    Only the stratum `random` tells of rates: it was drawn with the share `percent` of all judged parts, whatever they were.
    """

    schema: Literal["linewatch.CapturedInspection/1"] = "linewatch.CapturedInspection/1"
    outcome: Outcome
    stratum: Stratum
    percent: Annotated[float, msgspec.Meta(ge=0.0, le=100.0)]
    inspection: Verdict


class CapturedLabel(msgspec.Struct, frozen=True, kw_only=True):
    """An operator confirmed or overruled the verdict on `frame_id`."""

    schema: Literal["linewatch.CapturedLabel/1"] = "linewatch.CapturedLabel/1"
    frame_id: Identifier
    verdict_label: Literal["pass", "fail"]
    operator: Identifier
    at: UtcTime
    note: Reason = ""
