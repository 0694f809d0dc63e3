"""Topic `commands`, from integrators and Dashboard, and `commands/results`, from whoever carried one out."""

from typing import Literal

from linewatch_common.messages.base import Identifier, Message, PartId, Reason


class TriggerCapture(Message, frozen=True, kw_only=True, tag="linewatch.TriggerCapture/1"):
    """Take a picture now (software trigger). Camera answers with the frame_id."""

    command_id: Identifier
    part_id: PartId | None = None


class PauseCapture(Message, frozen=True, kw_only=True, tag="linewatch.PauseCapture/1"):
    """Stop taking pictures until ResumeCapture. Camera answers."""

    command_id: Identifier


class ResumeCapture(Message, frozen=True, kw_only=True, tag="linewatch.ResumeCapture/1"):
    """Take pictures again. Camera answers."""

    command_id: Identifier


class SetPartId(Message, frozen=True, kw_only=True, tag="linewatch.SetPartId/1"):
    """The next frame shows this part. Camera answers."""

    command_id: Identifier
    part_id: PartId


class LabelVerdict(Message, frozen=True, kw_only=True, tag="linewatch.LabelVerdict/1"):
    """A person confirms or overrules a verdict. Inspector, the ledger's only writer, answers."""

    command_id: Identifier
    frame_id: Identifier
    label: Literal["pass", "fail"]
    operator: Identifier
    note: Reason = ""


class CommandResult(Message, frozen=True, kw_only=True, tag="linewatch.CommandResult/1"):
    """The answer to one command."""

    command_id: Identifier
    component: Identifier
    accepted: bool
    reason: Reason = ""
    frame_id: Identifier | None = None


Command = TriggerCapture | PauseCapture | ResumeCapture | SetPartId | LabelVerdict
