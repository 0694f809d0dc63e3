"""Which package serves which role, kept over restarts and power cuts in one small file."""

import logging
from pathlib import Path
from typing import Literal

import msgspec
from linewatch_common.errors import CorruptStateError
from linewatch_common.files import write_atomically
from linewatch_common.messages.models import Digest

log = logging.getLogger(__name__)


class ActivePackage(msgspec.Struct, frozen=True, kw_only=True):
    """`folder` is the copy's place below the agent's models folder; `previous` the digest of the package that this one replaced."""

    identifier: str
    manifest_digest: Digest
    folder: str
    previous: Digest | None = None


class _Content(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["linewatch.ActiveModels/1"] = "linewatch.ActiveModels/1"
    roles: dict[str, ActivePackage]


class ActiveFile:
    """`active.json`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, ActivePackage]:
        """Role to package; empty when nothing was ever active. Raises CorruptStateError."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Content).roles
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise CorruptStateError(f"{self._path}: cannot be read: {error}") from error

    def write(self, roles: dict[str, ActivePackage]) -> None:
        """Raises StorageError; the old content then still stands."""
        write_atomically(self._path, msgspec.json.format(msgspec.json.encode(_Content(roles=roles)), indent=2))
