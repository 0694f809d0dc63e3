"""The manifest's checks, and the verification of a package's files: every refusal is one line with file and field."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from linewatch_common.errors import PackageError
from linewatch_common.manifest import (
    MAX_MANIFEST_BYTES,
    identifier,
    load_manifest,
    manifest_digest,
    verify_files,
)

FILES = {"model.onnx": b"weights", "golden/golden.npz": b"golden"}

Json = dict[str, Any]


def example() -> Json:
    """A valid classifier's manifest as plain JSON."""
    return {
        "schema": "linewatch.Manifest/1",
        "name": "Surface-Classifier2",
        "version": "1.20.3",
        "role": "classifier",
        "format": "onnx",
        "model": "model.onnx",
        "labels": ["normal", "anomalous"],
        "inputs": [{"name": "picture", "dtype": "uint8", "shape": [1, 24, 32, 3], "layout": "NHWC"}],
        "outputs": [{"name": "score", "dtype": "float32", "shape": [1, 1], "layout": "NC", "meaning": "scores"}],
        "preparation": {"width": 32, "height": 24, "resize": "squash"},
        "thresholds": {"score": {"fail": 0.7, "review": 0.4}},
        "metrics": {"image_ap": 0.99},
        "provenance": {
            "data": {"source": "made up", "seeds": {"train": 1}, "pictures": {"train": 2}, "checksums": {}},
            "seed": 7,
            "code_version": "linewatch 0.1.0",
            "code_digest": "0" * 64,
            "trained_at": "2026-01-02T03:04:05Z",
            "frameworks": {"torch": "2"},
            "licence": "own",
        },
        "golden": {"file": "golden/golden.npz", "pictures": 2, "tolerances": {"score": 0.02, "mask_iou": 0.95}},
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()},
        "signature": None,
    }


def segmenter() -> Json:
    manifest = example()
    manifest["role"] = "segmenter"
    manifest["outputs"] = [
        {"name": "mask", "dtype": "uint8", "shape": [1, 2, 24, 32], "layout": "NCHW", "meaning": "mask"}
    ]
    manifest["thresholds"] = {"mask": {"pixel": 0.5, "minimum_area": 8}}
    return manifest


def inspector() -> Json:
    manifest = segmenter()
    manifest["role"] = "inspector"
    manifest["labels"] = ["scratch"]
    manifest["outputs"] = [example()["outputs"][0], segmenter()["outputs"][0] | {"shape": [1, 1, 24, 32]}]
    manifest["thresholds"] |= example()["thresholds"]
    return manifest


def write(folder: Path, manifest: Json) -> Path:
    (folder / "golden").mkdir(parents=True, exist_ok=True)
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def put(path: str, value: Any) -> Callable[[Json], None]:
    """An edit that sets the value at a dotted path."""

    def edit(manifest: Json) -> None:
        *parents, last = path.split(".")
        place: Any = manifest
        for key in parents:
            place = place[int(key) if key.isdigit() else key]
        place[int(last) if last.isdigit() else last] = value

    return edit


@pytest.mark.parametrize(
    "manifest", [example(), segmenter(), inspector()], ids=["classifier", "segmenter", "inspector"]
)
def test_a_good_package_is_read_and_verified(manifest: Json, tmp_path: Path) -> None:
    folder = write(tmp_path, manifest)
    loaded = load_manifest(folder)
    verify_files(folder, loaded)
    assert loaded.identifier == identifier("Surface-Classifier2", "1.20.3") == "Surface-Classifier2-1-20-3"


def test_the_digest_is_of_the_payload_without_the_signature(tmp_path: Path) -> None:
    manifest = example()
    digest = manifest_digest(write(tmp_path, manifest))
    assert digest.startswith("sha256:")
    (tmp_path / "manifest.json").write_text(json.dumps(dict(reversed(manifest.items())), indent=4))
    assert manifest_digest(tmp_path) == digest
    manifest["signature"] = {"key": "k", "value": "v"}
    assert manifest_digest(write(tmp_path, manifest)) == digest
    manifest["thresholds"]["score"]["fail"] = 0.71
    assert manifest_digest(write(tmp_path, manifest)) != digest


BAD_FIELDS = {
    "unknown role": (put("role", "painter"), r"'painter' - at `\$.role`"),
    "unknown schema": (put("schema", "linewatch.Manifest/2"), r"at `\$.schema`"),
    "unknown format": (put("format", "pickle"), r"at `\$.format`"),
    "unknown field": (put("colour", "red"), "unknown field `colour`"),
    "unknown field below": (put("thresholds.score.warn", 0.1), r"unknown field `warn` - at `\$.thresholds.score`"),
    "name with a dot": (put("name", "Surface.Classifier"), r"at `\$.name`"),
    "version of two numbers": (put("version", "1.0"), r"at `\$.version`"),
    "version with a leading zero": (put("version", "1.01.0"), r"at `\$.version`"),
    "threshold above one": (put("thresholds.score.fail", 1.5), r"at `\$.thresholds.score.fail`"),
    "threshold as text": (put("thresholds.score.fail", "0.5"), r"got `str` - at `\$.thresholds.score.fail`"),
    "review above fail": (put("thresholds.score.review", 0.8), "thresholds.score.review: 0.8 is above"),
    "no threshold": (put("thresholds", {}), "thresholds.score: a classifier needs it"),
    "three labels": (put("labels", ["a", "b", "c"]), "labels: a classifier has two"),
    "no label": (put("labels", []), r"at `\$.labels`"),
    "zero size": (put("preparation.width", 0), r"at `\$.preparation.width`"),
    "unknown resize": (put("preparation.resize", "crop"), r"at `\$.preparation.resize`"),
    "input of another size": (put("inputs.0.shape", [1, 24, 24, 3]), r"expected uint8 NHWC \[1, 24, 32, 3\] by prep"),
    "input of another dtype": (put("inputs.0.dtype", "float32"), r"inputs\[0\]: expected uint8"),
    "two inputs": (lambda m: m["inputs"].append(m["inputs"][0]), "inputs: expected one, got 2"),
    "layout of another length": (put("outputs.0.shape", [1]), r"outputs\[0\].shape: \[1\] does not fit the layout NC"),
    "score of another shape": (put("outputs.0.shape", [1, 2]), r"scores must have the shape \[1, 1\], got \[1, 2\]"),
    "no score": (put("outputs.0.meaning", "mask"), "needs one output with the meaning 'scores', got 0"),
    "digest of another form": (put("files", {"model.onnx": "abc", "golden/golden.npz": "0" * 64}), r"at `\$.files"),
    "way out": (lambda m: m["files"].update({"../secret": "0" * 64}), r"files: '\.\./secret' leaves the package"),
    "way out inside": (lambda m: m["files"].update({"a/../../b": "0" * 64}), r"files: 'a/\.\./\.\./b' leaves"),
    "absolute path": (lambda m: m["files"].update({"/etc/passwd": "0" * 64}), "files: '/etc/passwd' leaves"),
    "path not normal": (lambda m: m["files"].update({"a//b": "0" * 64}), "files: 'a//b' leaves"),
    "control character": (lambda m: m["files"].update({"a\nb": "0" * 64}), r"files: 'a\\nb' leaves"),
    "itself": (lambda m: m["files"].update({"manifest.json": "0" * 64}), "cannot hold its own digest"),
    "model not listed": (put("model", "other.onnx"), "model: 'other.onnx' is not in files"),
    "golden not listed": (put("golden.file", "golden/x.npz"), "golden.file: 'golden/x.npz' is not in files"),
    "file of another format": (put("format", "neo"), "model: 'model.onnx' does not fit the format 'neo'"),
    "ignore mask not listed": (put("preparation.ignore", "no.png"), "preparation.ignore: 'no.png' is not in files"),
    "tiles that do not advance": (
        put("preparation.tiles", {"width": 64, "height": 32, "overlap": 32}),
        "preparation.tiles.overlap: 32 leaves nothing of a tile of 64x32",
    ),
    "metric as text": (put("metrics.image_ap", "good"), r"at `\$.metrics"),
    "date of another form": (put("provenance.trained_at", "yesterday"), r"at `\$.provenance.trained_at`"),
}


@pytest.mark.parametrize("case", BAD_FIELDS)
def test_a_bad_manifest_is_refused_with_file_and_field(case: str, tmp_path: Path) -> None:
    edit, reason = BAD_FIELDS[case]
    manifest = example()
    edit(manifest)
    with pytest.raises(PackageError, match=reason) as caught:
        load_manifest(write(tmp_path, manifest))
    assert str(tmp_path / "manifest.json") in str(caught.value)
    assert "\n" not in str(caught.value)


BAD_INSPECTORS: dict[str, tuple[Callable[[Json], object], str]] = {
    "no mask": (lambda m: m["outputs"].pop(), "an inspector needs one output with the meaning 'mask', got 0"),
    "no score": (lambda m: m["outputs"].pop(0), "an inspector needs one output with the meaning 'scores', got 0"),
    "no score thresholds": (lambda m: m["thresholds"].pop("score"), "thresholds.score: an inspector needs it"),
    "no mask thresholds": (lambda m: m["thresholds"].pop("mask"), "thresholds.mask: an inspector needs it"),
    "labels unlike channels": (put("labels", ["a", "b"]), r"a mask needs the shape \[1, 2, H, W\] by labels"),
    "a network without its weights": (
        lambda m: m.update(format="openvino", model="m.xml", files=m["files"] | {"m.xml": "0" * 64}),
        "model: 'm.bin' is not in files",
    ),
}


@pytest.mark.parametrize("case", BAD_INSPECTORS)
def test_a_bad_inspector_is_refused(case: str, tmp_path: Path) -> None:
    edit, reason = BAD_INSPECTORS[case]
    manifest = inspector()
    edit(manifest)
    with pytest.raises(PackageError, match=reason):
        load_manifest(write(tmp_path, manifest))


BAD_MASKS = {
    "mask without threshold": (put("thresholds", {}), "thresholds.mask: a segmenter needs it"),
    "pixel threshold of zero": (put("thresholds.mask.pixel", 0), r"at `\$.thresholds.mask.pixel`"),
    "minimum area of zero": (put("thresholds.mask.minimum_area", 0), r"at `\$.thresholds.mask.minimum_area`"),
    "channels unlike labels": (put("outputs.0.shape", [1, 3, 24, 32]), r"needs the shape \[1, 2, H, W\] by labels"),
}


@pytest.mark.parametrize("case", BAD_MASKS)
def test_a_bad_segmenter_is_refused(case: str, tmp_path: Path) -> None:
    edit, reason = BAD_MASKS[case]
    manifest = segmenter()
    edit(manifest)
    with pytest.raises(PackageError, match=reason):
        load_manifest(write(tmp_path, manifest))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'"text"', b'{"schema": "x"}', b"[" * 100_000])
def test_what_is_no_manifest_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(PackageError, match=r"manifest\.json: "):
        load_manifest(tmp_path)


@pytest.mark.parametrize("content", [b"{", b"[]", b"[" * 100_000])
def test_no_digest_of_what_is_no_manifest(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(PackageError, match=r"manifest\.json: "):
        manifest_digest(tmp_path)


def test_a_missing_or_huge_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="No such file"):
        load_manifest(tmp_path)
    (tmp_path / "manifest.json").write_bytes(b" " * (MAX_MANIFEST_BYTES + 1))
    with pytest.raises(PackageError, match="too big for a manifest"):
        load_manifest(tmp_path)


def test_a_linked_manifest_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "real", example())
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "manifest.json").symlink_to(tmp_path / "real" / "manifest.json")
    with pytest.raises(PackageError, match="is a symbolic link"):
        load_manifest(tmp_path / "package")


def change(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"Weights")


def remove(folder: Path) -> None:
    (folder / "golden/golden.npz").unlink()


def add(folder: Path) -> None:
    (folder / "golden/more.npz").write_bytes(b"")


def link(folder: Path) -> None:
    (folder / "model.onnx").rename(folder.parent / "elsewhere")
    (folder / "model.onnx").symlink_to(folder.parent / "elsewhere")


def link_folder(folder: Path) -> None:
    (folder / "golden").rename(folder.parent / "golden")
    (folder / "golden").symlink_to(folder.parent / "golden")


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


def flood(folder: Path) -> None:
    for index in range(1000):
        (folder / f"{index}").touch()


BAD_FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "changed": (change, r"'model\.onnx' was changed: SHA-256 [0-9a-f]{64}, the manifest says"),
    "missing": (remove, r"'golden/golden\.npz' of the manifest is missing"),
    "extra": (add, r"'golden/more\.npz' is not in the manifest"),
    "link": (link, r"'model\.onnx' is a symbolic link"),
    "linked folder": (link_folder, "'golden' is a symbolic link"),
    "pipe": (pipe, "'pipe' is not a regular file"),
    "flood": (flood, "holds more than 512 files"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_package_that_is_not_what_its_manifest_says_is_refused(case: str, tmp_path: Path) -> None:
    spoil, reason = BAD_FILES[case]
    folder = write(tmp_path / "package", example())
    manifest = load_manifest(folder)
    spoil(folder)
    with pytest.raises(PackageError, match=reason) as caught:
        verify_files(folder, manifest)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_gone_is_refused(tmp_path: Path) -> None:
    manifest = load_manifest(write(tmp_path / "package", example()))
    with pytest.raises(PackageError, match="No such file"):
        verify_files(tmp_path / "elsewhere", manifest)
