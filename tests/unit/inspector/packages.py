"""Small model packages with real manifests, for tests."""

import hashlib
from pathlib import Path
from typing import Any

import msgspec
from linewatch_common.manifest import MANIFEST_FILE, Manifest, load_manifest, manifest_digest
from linewatch_common.messages import AgentStatus, RoleStatus

SIDE = 32
_PROVENANCE: dict[str, Any] = {
    "data": {"source": "test", "seeds": {}, "pictures": {}, "checksums": {}},
    "seed": 1,
    "code_version": "test",
    "code_digest": "0" * 64,
    "trained_at": "2026-11-22T10:00:00Z",
    "frameworks": {},
    "licence": "test",
}


def make_package(
    folder: Path,
    role: str,
    *,
    version: str = "1.0.0",
    fail: float = 0.6,
    review: float = 0.4,
    preparation: dict[str, Any] | None = None,
    files: dict[str, bytes] | None = None,
) -> Manifest:
    """Write the manifest of a package of `role`, and these of its files; the models see 32x32 pictures."""
    side = SIDE // 4
    score = {"name": "score", "dtype": "float32", "shape": [1, 1], "layout": "NC", "meaning": "scores"}
    mask = {"name": "mask", "dtype": "uint8", "shape": [1, 1, side, side], "layout": "NCHW", "meaning": "mask"}
    thresholds = {"score": {"fail": fail, "review": review}, "mask": {"pixel": 0.9, "minimum_area": 1}}
    files = files or {}
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    payload = {
        "schema": "linewatch.Manifest/1",
        "name": f"Test{role.capitalize()}",
        "version": version,
        "role": role,
        "format": "onnx",
        "model": "model.onnx",
        "labels": ["normal", "anomalous"] if role == "classifier" else ["spot"],
        "inputs": [{"name": "picture", "dtype": "uint8", "shape": [1, SIDE, SIDE, 3], "layout": "NHWC"}],
        "outputs": {"classifier": [score], "segmenter": [mask], "inspector": [score, mask]}[role],
        "preparation": {"width": SIDE, "height": SIDE, "resize": "squash"} | (preparation or {}),
        "thresholds": {
            key: value for key, value in thresholds.items() if role != {"score": "segmenter", "mask": "classifier"}[key]
        },
        "metrics": {},
        "provenance": _PROVENANCE,
        "golden": {"file": "golden.npz", "pictures": 1, "tolerances": {}},
        "files": {"model.onnx": "1" * 64, "golden.npz": "2" * 64}
        | {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    (folder / MANIFEST_FILE).write_bytes(msgspec.json.encode(payload))
    return load_manifest(folder)


def serving(*folders: Path, endpoint: str = "/run/agent.sock", boot: str = "a1") -> AgentStatus:
    """The agent's status when it serves the packages in `folders`."""
    roles: dict[str, RoleStatus] = {}
    for folder in folders:
        manifest = load_manifest(folder)
        roles[manifest.role] = RoleStatus(
            identifier=manifest.identifier,
            version=manifest.version,
            folder=str(folder),
            manifest_digest=manifest_digest(folder),
        )
    return AgentStatus(endpoint=endpoint, boot_id=boot, roles=roles)
