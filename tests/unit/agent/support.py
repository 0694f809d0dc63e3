"""Tiny real models and packages, and an agent in this process."""

import ctypes
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from linewatch_agent.__main__ import build_core
from linewatch_agent.config import AgentConfig
from linewatch_agent.core import AgentCore
from linewatch_agent.sockets import Listener
from linewatch_common.manifest import load_manifest, manifest_digest
from linewatch_common.messages.models import ModelOffered

MODELS = Path(__file__).parents[2] / "data" / "models"  # made by tests/data/make_models.py


def model_folder(folder: Path, model: str = "score") -> Path:
    """A bare folder with one ONNX file."""
    folder.mkdir(parents=True)
    shutil.copy(MODELS / f"{model}.onnx", folder / "model.onnx")
    return folder


def make_package(
    folder: Path,
    *,
    name: str = "Tiny",
    version: str = "1.0.0",
    role: str = "classifier",
    golden_shift: float = 0.0,
    changes: dict[str, Any] | None = None,
) -> Path:
    """A whole package of a tiny model; `golden_shift` makes its golden outputs wrong, `changes` overwrites the manifest's fields."""
    if role == "inspector":
        return _inspector(folder, name, version, changes or {})
    model_folder(folder, "score" if role == "classifier" else "mask")
    pictures = np.stack([np.full((1, 4, 4, 3), value, np.uint8) for value in (0, 51, 255)])
    if role == "classifier":
        output = {"name": "score", "dtype": "float32", "shape": [1, 1], "layout": "NC", "meaning": "scores"}
        outputs: Any = (pictures.mean(axis=(2, 3, 4)) / 255 + golden_shift).astype(np.float32).reshape(-1, 1, 1)
    else:
        output = {"name": "mask", "dtype": "uint8", "shape": [1, 1, 4, 4], "layout": "NCHW", "meaning": "mask"}
        outputs = pictures[..., :1].transpose(0, 1, 4, 2, 3)
    np.savez(folder / "golden.npz", **{"input.picture": pictures, f"output.{output['name']}": outputs})
    manifest = {**_manifest(name, version, role, output), **(changes or {})}
    manifest["files"] = {file: _sha256(folder / file) for file in ("model.onnx", "golden.npz")} | manifest["files"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def neo_package(folder: Path) -> Path:
    """A whole package whose model is SageMaker Neo's result."""
    compiled = MODELS / "neo" / "score"
    files = {path.name: _sha256(path) for path in compiled.iterdir()}
    make_package(folder, changes={"format": "neo", "model": "compiled.so", "files": files})
    return Path(shutil.copytree(compiled, folder, dirs_exist_ok=True))


def _inspector(folder: Path, name: str, version: str, changes: dict[str, Any]) -> Path:
    """Its mask is the brightness of cells of 4 x 4 pixels, its score the brightest cell."""
    model_folder(folder, "inspector")
    pictures = np.zeros((3, 1, 32, 48, 3), np.uint8)
    pictures[1, :, 8:16, 8:16], pictures[2, :, :16] = 51, 255
    masks = pictures[:, 0, ::4, ::4, 0].astype(np.float32)[:, np.newaxis, np.newaxis] / 255
    arrays = {"input.image": pictures, "output.mask": masks, "output.score": masks.max(axis=(3, 4))}
    np.savez(folder / "golden.npz", **arrays)
    score = {"name": "score", "dtype": "float32", "shape": [1, 1], "layout": "NC", "meaning": "scores"}
    mask = {"name": "mask", "dtype": "float32", "shape": [1, 1, 8, 12], "layout": "NCHW", "meaning": "mask"}
    manifest = {
        **_manifest(name, version, "inspector", score),
        "inputs": [{"name": "image", "dtype": "uint8", "shape": [1, 32, 48, 3], "layout": "NHWC"}],
        "outputs": [score, mask],
        "preparation": {"width": 48, "height": 32, "resize": "squash"},
        **changes,
    }
    manifest["files"] = {file: _sha256(folder / file) for file in ("model.onnx", "golden.npz")}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def _manifest(name: str, version: str, role: str, output: dict[str, Any]) -> dict[str, Any]:
    picture = {"name": "picture", "dtype": "uint8", "shape": [1, 4, 4, 3], "layout": "NHWC"}
    return {
        "schema": "linewatch.Manifest/1",
        "name": name,
        "version": version,
        "role": role,
        "format": "onnx",
        "model": "model.onnx",
        "labels": ["normal", "anomalous"] if role == "classifier" else ["scratch"],
        "inputs": [picture],
        "outputs": [output],
        "preparation": {"width": 4, "height": 4, "resize": "squash"},
        "thresholds": {"score": {"fail": 0.8, "review": 0.6}, "mask": {"pixel": 0.5, "minimum_area": 1}},
        "metrics": {},
        "provenance": {
            "data": {"source": "none", "seeds": {}, "pictures": {}, "checksums": {}},
            "seed": 0,
            "code_version": "test",
            "code_digest": "0" * 64,
            "trained_at": "2026-01-01T00:00:00Z",
            "frameworks": {},
            "licence": "MIT",
        },
        "golden": {"file": "golden.npz", "pictures": 3, "tolerances": {}},
        "files": {},
    }


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def offer_of(folder: Path, *, nonce: str = "n1", trial: bool = False, **changes: Any) -> ModelOffered:
    """The offer that a model component would make of the package in `folder`."""
    manifest = load_manifest(folder)
    fields: dict[str, Any] = {
        "name": manifest.name,
        "version": manifest.version,
        "identifier": manifest.identifier,
        "role": manifest.role,
        "folder": str(folder),
        "manifest_digest": manifest_digest(folder),
        "nonce": nonce,
        "trial": trial,
        "lease": "com.linewatch.model.Tiny",
    }
    return ModelOffered(**(fields | changes))


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder with a short path (a unix socket's is limited to 107 bytes), in memory where that is possible: fsync costs nothing."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="lw-", dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@contextmanager
def running_core(folder: Path, **settings: Any) -> Iterator[tuple[AgentCore, Path]]:
    """An agent without bus in this process, and its socket."""
    socket = folder / "agent.sock"
    core = build_core(AgentConfig(**settings), "device-1", folder, (Listener(socket),))
    core.start()
    try:
        yield core, socket
    finally:
        core.stop()


@contextmanager
def shared_segment(content: bytes, size: int = 0) -> Iterator[int]:
    """The id of a System V segment with `content`, made read-only as the original's clients do; removed afterwards."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    private, create, remove = 0, 0o1600, 0
    segment_id = libc.shmget(private, ctypes.c_size_t(size or len(content)), create)
    assert segment_id >= 0
    try:
        address = libc.shmat(segment_id, None, 0)
        ctypes.memmove(address, content, len(content))
        libc.shmdt(ctypes.c_void_p(address))
        yield segment_id
    finally:
        libc.shmctl(segment_id, remove, None)


def set_segment_mode(segment_id: int, mode: int) -> None:
    """Change who may use a segment of ours."""
    libc = ctypes.CDLL(None, use_errno=True)
    status = ctypes.create_string_buffer(256)  # struct shmid_ds; its mode lies behind key, uid, gid, cuid, cgid
    set_status, get_status = 1, 2
    assert libc.shmctl(segment_id, get_status, status) == 0
    ctypes.c_uint32.from_buffer(status, 20).value = mode
    assert libc.shmctl(segment_id, set_status, status) == 0


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Poll; a condition that never comes true is a failure, however slow the machine is."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "the condition did not come true"
        time.sleep(0.02)


def attached(segment_id: int) -> int:
    """How many processes have it attached."""
    for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1]) == segment_id:
            return int(fields[6])
    return 0
