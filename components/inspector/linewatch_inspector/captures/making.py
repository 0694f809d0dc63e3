"""From an inspection, or a person's word on one, to what the agent captures."""

import hashlib
import re
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
from linewatch_common.messages import LabelVerdict, Verdict
from linewatch_common.store import StoredInspection

from linewatch_inspector.ended import Ended
from linewatch_inspector.pictures import mask_of, picture_png

# A capture's id has 128 characters, of which frame_id and "-label-" take 72 at most.
_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,56}")


def of_inspection(item: Ended, stratum: Stratum, percent: float, served: Collection[str]) -> Capture:
    """A capture with the frame as it was, for a model as `_model_of` says. Raises InputError when it cannot be encoded."""
    if item.picture is None:
        raise InputError(f"{item.verdict.frame_id}: no picture to capture")
    picture = _file(PICTURE_NAME, picture_png(item.picture))
    record = CapturedInspection(outcome=item.verdict.outcome, stratum=stratum, percent=percent, inspection=item.verdict)
    return _capture(_model_of(item.verdict, served), record, picture, mask_of(item))


def of_stored(stored: StoredInspection, served: Collection[str]) -> Capture:
    """A capture of a labelled inspection that was not captured when it was judged, for a model as `_model_of` says."""
    verdict = stored.verdict
    record = CapturedInspection(outcome=verdict.outcome, stratum="labelled", percent=0.0, inspection=verdict)
    picture = _file(STORED_PICTURE_NAME, stored.picture)
    return _capture(_model_of(verdict, served), record, picture, stored.mask)


def of_label(command: LabelVerdict, model: str, at: str) -> Capture:
    """A capture of a person's word; `model` is any that the agent serves, since a capture belongs to one."""
    label = CapturedLabel(
        frame_id=command.frame_id, verdict_label=command.label, operator=command.operator, at=at, note=command.note
    )
    item = Auxiliary(ANNOTATION_NAME, msgspec.json.encode(label), AuxiliaryEncoding.JSON)
    name = f"{command.frame_id}-label-{_part_of_name(command.command_id)}"
    return Capture(model=model, capture_id=name, auxiliary_outputs=(item,))


def _part_of_name(command_id: str) -> str:
    """Itself where the agent takes it in a capture's id, else its digest: senders may call their commands as they like."""
    if _PLAIN.fullmatch(command_id):
        return command_id
    return hashlib.blake2b(command_id.encode(), digest_size=16).hexdigest()


def _model_of(verdict: Verdict, served: Collection[str]) -> str:
    """The model that judged when it is among the `served`, else one of them: the agent refuses others. The record says who judged."""
    judged_by = verdict.models[0].identifier
    return judged_by if judged_by in served else next(iter(served))


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
