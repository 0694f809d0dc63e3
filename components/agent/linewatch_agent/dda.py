"""Model packages of AWS's Defect Detection Application: a manifest.json of another kind, and a folder for each stage.

The agent runs the stage's model. What the manifest says of preparing pictures and of thresholds is for the client to do, as there.
"""

import logging
from pathlib import Path
from typing import Any

import msgspec
from linewatch_common.manifest import MANIFEST_FILE, MAX_MANIFEST_BYTES

from linewatch_agent.errors import NotLoadableError

log = logging.getLogger(__name__)

_STATED = "a DDA package's manifest"
# What its manifest may name as the stage's runtime, where it names one; a package without has what Neo compiled.
_RUNTIMES = frozenset({"onnx", "onnxruntime", "dlr", "neo"})


class _Stage(msgspec.Struct, frozen=True):
    type: str = ""
    stage_type: str = ""  # so in some of its documents

    @property
    def name(self) -> str:
        return self.type or self.stage_type


class _Graph(msgspec.Struct, frozen=True):
    stages: tuple[_Stage, ...] = ()


class _Manifest(msgspec.Struct, frozen=True):
    model_graph: _Graph
    runtime: str | None = None
    device: str | None = None


class _Kind(msgspec.Struct, frozen=True):
    schema: str | None = None
    model_graph: Any = None


def is_dda(folder: Path) -> bool:
    """Whether the manifest in `folder` is DDA's. One that is no JSON is not: the linewatch package's reader says why. Raises OSError."""
    try:
        kind = msgspec.json.decode(_read(folder), type=_Kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return kind.schema is None and kind.model_graph is not None


def stage_folder(folder: Path) -> Path:
    """The folder of its one stage. Raises NotLoadableError for what this agent does not run; OSError."""
    try:
        manifest = msgspec.json.decode(_read(folder), type=_Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NotLoadableError(f"{folder / MANIFEST_FILE}: {_STATED}, but {error}") from error
    runtime = (manifest.runtime or "").lower()
    if runtime and runtime not in _RUNTIMES:
        raise NotLoadableError(
            f"{folder}: {_STATED} wants the runtime {manifest.runtime!r}; this agent runs its ONNX and Neo packages"
        )
    names = [stage.name for stage in manifest.model_graph.stages]
    if len(names) > 1:
        raise NotLoadableError(
            f"{folder}: {_STATED} has {len(names)} stages ({', '.join(names)[:200]}), a name here is one model; "
            "load each stage's own folder under a name of its own, and let the client join them"
        )
    if not names or not names[0] or names[0] in (".", "..") or "/" in names[0] or "\0" in names[0]:
        raise NotLoadableError(f"{folder / MANIFEST_FILE}: {_STATED}, but its stage has no type that names a folder")
    stage = folder / names[0]
    # A link could lead out of the folders that models may come from.
    if stage.is_symlink() or not stage.is_dir():
        raise NotLoadableError(f"{folder}: {_STATED} names the stage {names[0]!r}, but there is no such folder in it")
    if manifest.device not in (None, "cpu"):
        log.warning("%s: the manifest wants the device %s; this agent runs it on the CPU", folder, manifest.device)
    return stage


def _read(folder: Path) -> bytes:
    with (folder / MANIFEST_FILE).open("rb") as file:
        return file.read(MAX_MANIFEST_BYTES + 1)
