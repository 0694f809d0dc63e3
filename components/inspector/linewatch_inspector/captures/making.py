"""From an inspection, or a person's word on one, to what the agent captures."""

import msgspec
from linewatch_agent_api.client import Auxiliary, AuxiliaryEncoding, Capture
from linewatch_common.captured import (
    ANNOTATION_NAME,
    INSPECTION_NAME,
    MASK_NAME,
    PICTURE_NAME,
    STORED_PICTURE_NAME,
    CapturedInspection,
    CapturedLabel,
    Stratum,
)
from linewatch_common.errors import InputError
from linewatch_common.messages import LabelVerdict, Verdict
from linewatch_common.store import StoredInspection

from linewatch_inspector.ended import Ended
from linewatch_inspector.pictures import mask_of, picture_png


def of_inspection(item: Ended, stratum: Stratum, percent: float) -> Capture:
    """A capture with the frame as it was. Raises InputError when it cannot be encoded."""
    if item.picture is None:
        raise InputError(f"{item.verdict.frame_id}: no picture to capture")
    picture = _file(PICTURE_NAME, picture_png(item.picture))
    return _capture(item.verdict, stratum, percent, picture, mask_of(item))


def of_stored(stored: StoredInspection) -> Capture:
    """A capture of a labelled inspection that was not captured when it was judged."""
    return _capture(stored.verdict, "labelled", 0.0, _file(STORED_PICTURE_NAME, stored.picture), stored.mask)


def of_label(command: LabelVerdict, model: str, at: str) -> Capture:
    """A capture of a person's word; `model` is any that the agent serves, since a capture belongs to one."""
    label = CapturedLabel(
        frame_id=command.frame_id, verdict_label=command.label, operator=command.operator, at=at, note=command.note
    )
    item = Auxiliary(ANNOTATION_NAME, msgspec.json.encode(label), AuxiliaryEncoding.JSON)
    name = f"{command.frame_id}-label-{command.command_id}"
    return Capture(model=model, capture_id=name, auxiliary_outputs=(item,))


def _capture(verdict: Verdict, stratum: Stratum, percent: float, picture: Auxiliary, mask: bytes) -> Capture:
    record = CapturedInspection(outcome=verdict.outcome, stratum=stratum, percent=percent, inspection=verdict)
    said = [Auxiliary(INSPECTION_NAME, msgspec.json.encode(record), AuxiliaryEncoding.JSON)]
    if mask:
        said.append(_file(MASK_NAME, mask))
    return Capture(
        model=verdict.models[0].identifier,
        capture_id=verdict.frame_id,
        auxiliary_inputs=(picture,),
        auxiliary_outputs=said,
    )


def _file(name: str, data: bytes) -> Auxiliary:
    return Auxiliary(name, data, AuxiliaryEncoding.NONE)
