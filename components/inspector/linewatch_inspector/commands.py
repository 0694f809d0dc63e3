"""Commands on the bus that are for Inspector: labels."""

import logging
from collections.abc import Callable

from linewatch_common.errors import MessageError
from linewatch_common.logs import Complaints
from linewatch_common.messages import Command, LabelVerdict, decode

log = logging.getLogger(__name__)


class Commands:
    """`receive` is the handler of the commands topic; the other commands are Camera's."""

    def __init__(self, label: Callable[[LabelVerdict], None]) -> None:
        self._label = label
        self._unreadable = Complaints(log, "commands")

    def receive(self, raw: bytes) -> None:
        """A command came."""
        try:
            command = decode(raw, Command)
        except MessageError as error:
            self._unreadable.note(error)  # Camera may know it
            return
        if isinstance(command, LabelVerdict):
            self._label(command)
