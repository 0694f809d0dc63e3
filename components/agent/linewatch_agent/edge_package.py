"""What a packaging job of SageMaker Edge Manager wrote beside a model: the name and version that its captured data goes by."""

import logging
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

log = logging.getLogger(__name__)

FILE = "sagemaker_edge_manifest"
# It is a few hundred bytes.
_MAX_BYTES = 1024 * 1024

# The bounds of the job's own request; the name becomes a folder of captured data.
_Name = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}\Z")]
_Version = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9 _.]{1,30}\Z")]


class EdgePackage(msgspec.Struct, frozen=True):
    """The job's model name and version."""

    name: _Name = msgspec.field(name="model_name")
    version: _Version = msgspec.field(name="model_version")


class _File(msgspec.Struct, frozen=True):
    metadata: EdgePackage


def packaged_as(folder: Path) -> EdgePackage | None:
    """What the job called the model in `folder`; None for other models. One that cannot be read is named in the log."""
    path = folder / FILE
    if not path.is_file():  # opening a pipe would wait for its writer
        return None
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(_MAX_BYTES), type=_File).metadata
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        log.warning("%s: captured data goes by the name that the model is loaded under: %s", path, error)
        return None
