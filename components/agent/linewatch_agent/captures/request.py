"""A capture as a client hands it over, and the check of what can be wrong with it."""

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol

from linewatch_agent.errors import BadRequestError, FutureCaptureError

# Clients' clocks and ours are the same machine's, but an application may round up.
FUTURE_SECONDS = 60.0
MAX_NAME_LENGTH = 128
_FIRST_SECOND = int(datetime(1, 1, 1, tzinfo=UTC).timestamp())
_LAST_SECOND = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())


class CaptureState(StrEnum):
    """How far a capture is."""

    IN_PROGRESS = "in progress"
    SUCCESS = "success"  # durable on disk
    FAILURE = "failure"  # the disk refused it


class Encoding(StrEnum):
    """How auxiliary data is to appear in the line."""

    CSV = "CSV"
    JSON = "JSON"
    NONE = "NONE"  # never in the line: always in a file of its own
    BASE64 = "BASE64"


@dataclass(frozen=True, slots=True)
class CapturedTensor:
    """A tensor to store; `type_name` is the interface's, e.g. FLOAT32. Elements in C order, little-endian."""

    name: str
    type_name: str
    shape: tuple[int, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class AuxiliaryItem:
    """Other data to store, e.g. a JPEG."""

    name: str
    encoding: Encoding
    data: bytes


@dataclass(frozen=True, slots=True)
class Moment:
    """A time in UTC as the interface carries it."""

    seconds: int
    nanos: int

    @classmethod
    def now(cls) -> "Moment":
        """The present."""
        return cls(*divmod(time.time_ns(), 1_000_000_000))

    def text(self) -> str:
        """YYYY-MM-DDTHH:MM:SS, as the original writes it."""
        moment = datetime.fromtimestamp(self.seconds, tz=UTC)
        return f"{moment.year:04d}-{moment:%m-%dT%H:%M:%S}"  # strftime does not pad years below 1000


@dataclass(frozen=True, slots=True)
class CaptureRequest:
    """What to store of one inference of the loaded model `model`; without `at`, it happened now."""

    model: str
    capture_id: str
    at: Moment | None = None
    inputs: tuple[CapturedTensor, ...] = ()
    outputs: tuple[CapturedTensor, ...] = ()
    auxiliary_inputs: tuple[AuxiliaryItem, ...] = ()
    auxiliary_outputs: tuple[AuxiliaryItem, ...] = ()

    @property
    def size_bytes(self) -> int:
        """The bytes of everything in it."""
        tensors = sum(len(tensor.data) for tensor in (*self.inputs, *self.outputs))
        return tensors + sum(len(item.data) for item in (*self.auxiliary_inputs, *self.auxiliary_outputs))


class Stated(Protocol):
    """A model's name and version as its package states them."""

    @property
    def name(self) -> str:
        """What its captured data goes by."""

    @property
    def version(self) -> str:
        """Text of any form."""


def check_request(request: CaptureRequest, now: Moment) -> None:
    """Raises BadRequestError for the id or the timestamp's form, FutureCaptureError for a time more than a minute ahead."""
    if not is_safe_name(request.capture_id):
        raise BadRequestError(
            f"capture id {request.capture_id[:MAX_NAME_LENGTH]!r}: want 1 to {MAX_NAME_LENGTH} printable characters "
            "without slashes, e.g. a UUID"
        )
    if request.at is None:
        return
    if not (_FIRST_SECOND <= request.at.seconds <= _LAST_SECOND and 0 <= request.at.nanos <= 999_999_999):
        raise BadRequestError(
            f"inference timestamp {request.at.seconds} s {request.at.nanos} ns: want the years 0001 to 9999 and 0 to 999999999 ns"
        )
    if request.at.seconds > now.seconds + FUTURE_SECONDS:
        raise FutureCaptureError(
            f"inference timestamp {request.at.text()} lies in the future (now {now.text()}); check the application's clock"
        )


def is_safe_name(text: str) -> bool:
    """Whether `text` can be told apart from a path: printable, no slashes, not '.' nor '..'."""
    return (
        0 < len(text) <= MAX_NAME_LENGTH
        and text.isprintable()
        and not re.search(r"[/\\]", text)
        and text not in (".", "..")
    )
