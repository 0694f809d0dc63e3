"""What became of the last captures, kept over a restart."""

import logging
import os
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

from linewatch_common.errors import StorageError
from linewatch_common.files import make_private_folder, write_atomically

from linewatch_agent.captures.request import CaptureState

log = logging.getLogger(__name__)

# How many finished captures can still be asked about; an id costs some hundred bytes.
REMEMBERED = 10_000
_LETTERS = {CaptureState.SUCCESS: "S", CaptureState.FAILURE: "F"}
_STATES = {letter: state for state, letter in _LETTERS.items()}


class FinishedCaptures:
    """The states of the last `remembered` finished captures; in a file of one line each, when there is one. The caller locks."""

    def __init__(self, path: Path | None, remembered: int = REMEMBERED) -> None:
        self.remembered = remembered
        self._path = path
        self._states: OrderedDict[str, CaptureState] = OrderedDict()
        self._lines = 0

    def open(self) -> None:
        """Read what earlier runs noted. Raises StorageError."""
        if self._path is None:
            return
        make_private_folder(self._path.parent)
        try:
            text = self._path.read_text(encoding="utf-8", errors="replace") if self._path.exists() else ""
        except OSError as error:
            raise StorageError(f"{self._path}: cannot be read: {error.strerror}") from error
        # A power cut may have cut the last line, or left zeros.
        lines = [line for line in text.split("\n")[:-1] if line[:1] in _STATES and line[1:2] == " "]
        for line in lines:
            self._note(line[2:], _STATES[line[0]])
        try:
            self._compact()
        except StorageError as error:
            # A full disk gets room by sending what waits, which is begun after this; the next `add` tries again.
            log.warning("captures: %s", error)
            self._lines = 2 * self.remembered

    def get(self, capture_id: str) -> CaptureState | None:
        """Its state, if it is remembered."""
        return self._states.get(capture_id)

    def forget(self, capture_id: str) -> None:
        """It is tried again."""
        self._states.pop(capture_id, None)

    def add(self, capture_ids: Iterable[str], state: CaptureState) -> None:
        """Note durably. Raises StorageError; this process knows it all the same."""
        ids = list(capture_ids)
        for capture_id in ids:
            self._note(capture_id, state)
        if self._path is None:
            return
        if self._lines + len(ids) > 2 * self.remembered:
            self._compact()
            return
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                file.writelines(f"{_LETTERS[state]} {capture_id}\n" for capture_id in ids)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            self._lines = 2 * self.remembered  # half a line may be there: the next is not put behind it
            raise StorageError(f"{self._path}: cannot be written: {error.strerror}") from error
        self._lines += len(ids)

    def _note(self, capture_id: str, state: CaptureState) -> None:
        self._states[capture_id] = state
        self._states.move_to_end(capture_id)
        if len(self._states) > self.remembered:
            self._states.popitem(last=False)

    def _compact(self) -> None:
        assert self._path is not None  # noqa: S101 - only called with a file
        text = "".join(f"{_LETTERS[state]} {capture_id}\n" for capture_id, state in self._states.items())
        write_atomically(self._path, text.encode())
        self._lines = len(self._states)
