"""Small model packages with real manifests, for tests."""

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
    folder: Path, role: str, *, version: str = "1.0.0", fail: float = 0.6, review: float = 0.4
) -> Manifest:
    """Write the manifest of a package of `role`; the models see 32x32 pictures."""
    classifier = role == "classifier"
    side = SIDE // 4
    payload = {
        "schema": "linewatch.Manifest/1",
        "name": "TestClassifier" if classifier else "TestSegmenter",
        "version": version,
        "role": role,
        "format": "onnx",
        "model": "model.onnx",
        "labels": ["normal", "anomalous"] if classifier else ["spot"],
        "inputs": [{"name": "picture", "dtype": "uint8", "shape": [1, SIDE, SIDE, 3], "layout": "NHWC"}],
        "outputs": [
            {"name": "score", "dtype": "float32", "shape": [1, 1], "layout": "NC", "meaning": "scores"}
            if classifier
            else {"name": "mask", "dtype": "uint8", "shape": [1, 1, side, side], "layout": "NCHW", "meaning": "mask"}
        ],
        "preparation": {"width": SIDE, "height": SIDE, "resize": "squash"},
        "thresholds": {"score": {"fail": fail, "review": review}}
        if classifier
        else {"mask": {"pixel": 0.9, "minimum_area": 1}},
        "metrics": {},
        "provenance": _PROVENANCE,
        "golden": {"file": "golden.npz", "pictures": 1, "tolerances": {}},
        "files": {"model.onnx": "1" * 64, "golden.npz": "2" * 64},
    }
    folder.mkdir(parents=True, exist_ok=True)
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
