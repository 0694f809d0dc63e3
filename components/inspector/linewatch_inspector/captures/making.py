"""From an inspection, or a person's word on one, to what the agent captures."""

from collections.abc import Collection

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
from linewatch_common.messages import LabelVerdict
from linewatch_common.store import StoredInspection

from linewatch_inspector.ended import Ended
from linewatch_inspector.pictures import mask_of, picture_png


def of_inspection(item: Ended, stratum: Stratum, percent: float) -> Capture:
    """A capture with the frame as it was. Raises InputError when it cannot be encoded."""
    if item.picture is None:
        raise InputError(f"{item.verdict.frame_id}: no picture to capture")
    picture = _file(PICTURE_NAME, picture_png(item.picture))
    record = CapturedInspection(outcome=item.verdict.outcome, stratum=stratum, percent=percent, inspection=item.verdict)
    return _capture(item.verdict.models[0].identifier, record, picture, mask_of(item))


def of_stored(stored: StoredInspection, served: Collection[str]) -> Capture:
    """A capture of a labelled inspection that was not captured when it was judged.

    It belongs to its own model when that is among the `served`, else to one of them: the agent refuses others. The record says who judged.
    """
    verdict = stored.verdict
    record = CapturedInspection(outcome=verdict.outcome, stratum="labelled", percent=0.0, inspection=verdict)
    judged_by = verdict.models[0].identifier
    model = judged_by if judged_by in served else next(iter(served))
    return _capture(model, record, _file(STORED_PICTURE_NAME, stored.picture), stored.mask)


def of_label(command: LabelVerdict, model: str, at: str) -> Capture:
    """A capture of a person's word; `model` is any that the agent serves, since a capture belongs to one."""
    label = CapturedLabel(
        frame_id=command.frame_id, verdict_label=command.label, operator=command.operator, at=at, note=command.note
    )
    item = Auxiliary(ANNOTATION_NAME, msgspec.json.encode(label), AuxiliaryEncoding.JSON)
    name = f"{command.frame_id}-label-{command.command_id}"
    return Capture(model=model, capture_id=name, auxiliary_outputs=(item,))


def _capture(model: str, record: CapturedInspection, picture: Auxiliary, mask: bytes) -> Capture:
    said = [Auxiliary(INSPECTION_NAME, msgspec.json.encode(record), AuxiliaryEncoding.JSON)]
    if mask:
        said.append(_file(MASK_NAME, mask))
    return Capture(
        model=model,
        capture_id=record.inspection.frame_id,
        auxiliary_inputs=(picture,),
        auxiliary_outputs=said,
    )


def _file(name: str, data: bytes) -> Auxiliary:
    return Auxiliary(name, data, AuxiliaryEncoding.NONE)
