"""From run, artefact and evaluation to a package: what is in it, that it is the same each time, and what is refused."""

import gzip
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from linewatch_common.errors import InputError, PackageError
from linewatch_common.manifest import Label, Manifest, Tiles, load_manifest, verify_files
from linewatch_vision.golden import differences, read_golden

from model_build.__main__ import main
from model_build.compiling.running import open_model
from model_build.data.prepared import PreparedSet
from model_build.data.splits import SPLITS_FILE, TEST, read_splits
from model_build.packaging.assemble import labels_of
from model_build.packaging.golden import CLEAR, Candidate, choose, from_data
from model_build.packaging.tarball import pack, unpack
from model_build.packaging.versions import check_version, next_version
from model_build.training.run import read_run
from tests.integration.model_build.packages import Chain, evaluated

SIGNED = ("--approver", "anna", "--approved-at", "2026-11-22T10:00:00Z")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    return Chain(tmp_path_factory.mktemp("chain"), ignore=True)


@pytest.fixture
def chain(made: Chain, tmp_path: Path) -> Chain:
    """The same inputs, with an empty folder for the packages and changes that hurt no other test."""
    shutil.copytree(made.folder, tmp_path / "chain")
    copy = object.__new__(Chain)
    copy.folder = tmp_path / "chain"
    for name in ("data", "run", "artefact", "evaluation"):
        setattr(copy, name, copy.folder / getattr(made, name).name)
    copy.out = tmp_path / "packages"
    return copy


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr."""
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("package: ")]
    assert len(lines) == 1
    return lines[0]


def package_of(chain: Chain, identifier: str = "TinyInspector-1-0-0") -> tuple[Path, Manifest]:
    folder = chain.out / identifier / "package"
    manifest = load_manifest(folder)
    verify_files(folder, manifest)
    return folder, manifest


def test_the_package_holds_what_the_run_and_the_evaluation_say(chain: Chain) -> None:
    assert chain.package() == 0
    folder, manifest = package_of(chain)
    assert (manifest.role, manifest.labels, manifest.format) == ("inspector", ("defect",), "onnx")
    assert set(manifest.files) == {"model.onnx", "golden/golden.npz", "ignore.png"}
    assert manifest.preparation.ignore == "ignore.png"
    score, mask = manifest.thresholds.score, manifest.thresholds.mask
    assert score is not None
    assert mask is not None
    assert (score.review, score.fail, mask.pixel) == (0.45, 0.55, 0.5)
    assert manifest.metrics["escapes"] == 0.25
    provenance = manifest.provenance
    assert (provenance.seed, provenance.code_digest, provenance.trained_at) == (3, "c" * 64, "2026-11-22T10:00:00Z")
    assert provenance.data.checksums["index"] == PreparedSet.open(chain.data).digest
    assert provenance.compiled is not None
    assert provenance.compiled.recipe == "float"
    model = open_model(folder / manifest.model)
    for case in read_golden(folder, manifest):
        assert list(differences(case, model.run(case.inputs["image"]), manifest)) == []


def test_golden_pictures_are_of_both_kinds_away_from_the_thresholds_and_not_from_the_test_split(
    chain: Chain, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chain.package() == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("golden pictures")]
    names = line.partition(": ")[2].split(", ")
    data = PreparedSet.open(chain.data)
    assert not set(names) & set(read_splits(chain.data / SPLITS_FILE, data).splits[TEST])
    assert sorted(data.entry(name).defective for name in names) == [False] * 3 + [True] * 3
    folder, manifest = package_of(chain)
    scores = np.array([case.outputs["score"].item() for case in read_golden(folder, manifest)])
    assert (np.minimum(abs(scores - 0.45), abs(scores - 0.55)) >= CLEAR).all()
    assert len(set(scores)) > 3, "saturated scores alone would hide a broken runtime"


def test_golden_pictures_of_a_model_with_tiles_are_tiles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chain = Chain(tmp_path, tiles=Tiles(24, 32, 8))  # the defect lies in the second of three
    assert chain.package() == 0
    folder, manifest = package_of(chain)
    assert manifest.preparation.tiles == Tiles(24, 32, 8)
    assert " tile " in capsys.readouterr().out
    data, run = PreparedSet.open(chain.data), read_run(chain.run)
    names = sorted(data.entries)
    candidates = list(from_data(data, names, run.preparation))
    assert sorted(found.name.partition(" tile ")[0] for found in candidates) == names, (
        "a part may have hundreds of tiles"
    )
    assert [found.tensor.max() >= 200 for found in candidates] == [found.defective for found in candidates]
    cases = read_golden(folder, manifest)
    predict = open_model(folder / manifest.model).run
    assert {float(case.outputs["score"].item()) > 0.5 for case in cases} == {False, True}
    for case in cases:
        assert list(differences(case, predict(case.inputs["image"]), manifest)) == []


def test_generated_golden_pictures_hold_none_of_the_customers(chain: Chain, capsys: pytest.CaptureFixture[str]) -> None:
    assert chain.package(golden="generated") == 0
    assert "every device gets: generated " in capsys.readouterr().out
    shutil.rmtree(chain.data / "pictures")
    assert chain.package(golden="generated") == 0, "no picture of the data is even read"


def test_the_same_inputs_give_the_same_digest_and_a_retry_gives_back_what_is_stored(chain: Chain) -> None:
    key = chain.folder / "key.pem"
    assert main(["key", str(key)]) == 0
    assert chain.package() == 0
    first, _ = package_of(chain)
    manifest, archive = (first / "manifest.json").read_bytes(), chain.out / "TinyInspector-1-0-0.tar.gz"
    before = archive.read_bytes()
    assert chain.package("--key", str(key), *SIGNED) == 0
    signature = (first.parent / "signature.json").read_bytes()
    assert chain.package("--key", str(key), "--approver", "somebody else") == 0
    assert (first.parent / "signature.json").read_bytes() == signature
    assert (first / "manifest.json").read_bytes() == manifest
    assert archive.read_bytes() != before, "the signature went into the archive"
    chain.out = chain.folder / "other"
    assert chain.package() == 0
    assert (chain.out / "TinyInspector-1-0-0/package/manifest.json").read_bytes() == manifest
    assert (chain.out / "TinyInspector-1-0-0.tar.gz").read_bytes() == before


def test_the_next_version_is_found_and_a_wrong_one_is_refused(chain: Chain, capsys: pytest.CaptureFixture[str]) -> None:
    assert chain.package("--registry-version", "4") == 0
    package_of(chain, "TinyInspector-1-4-0")
    evaluated(chain.folder, chain.data, image_ap=0.98)
    assert chain.package("--version", "2.0.0", "--registry-version", "5") == 1
    assert "version 2.0.0 is wrong after 1.4.0: tensors and labels are the same, so it must be 1.5.0" in said(capsys)
    assert chain.package("--registry-version", "3") == 1
    assert "registry version 3 is older than 1.4.0" in said(capsys)
    assert chain.package() == 0
    package_of(chain, "TinyInspector-1-4-1")


def test_versions_follow_contract_registry_and_weights(chain: Chain) -> None:
    assert chain.package() == 0
    _, old = package_of(chain)
    relabelled = msgspec.structs.replace(old, labels=("scratch",))
    retrained = msgspec.structs.replace(old, files=old.files | {"model.onnx": "f" * 64})
    assert next_version(old, None) == "1.0.0"
    assert next_version(old, None, 7) == "1.7.0"
    assert next_version(old, old) == "1.0.1"
    assert next_version(retrained, old) == "1.1.0"
    assert next_version(retrained, old, 9) == "1.9.0"
    assert next_version(old, old, 0) == "1.0.1"
    assert next_version(relabelled, old, 9) == "2.9.0"
    with pytest.raises(PackageError, match=r"the tensors or labels changed, so it must be 2\.0\.0"):
        check_version(msgspec.structs.replace(relabelled, version="1.1.0"), old)
    check_version(msgspec.structs.replace(relabelled, version="2.0.0"), old)


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_bytes()) | changes))


def test_a_class_may_have_any_name(chain: Chain) -> None:
    """Only here a name must be one that devices can show: after hours of training."""
    edit(chain.run / "run.json", classes=["Öl/Fett"])
    assert chain.package() == 0
    _, manifest = package_of(chain)
    assert manifest.labels == ("Ol_Fett 1",)
    classes = ("scratch", "broken_large", "裂纹", "a/b", "a b", "", "x" * 100, "-dent")
    labels = labels_of(classes)
    assert labels == ("scratch", "broken_large", "class 3", "a_b 4", "a b", "class 6", f"{'x' * 44} 7", "dent 8")
    assert msgspec.convert(labels, tuple[Label, ...]) == labels


BAD: dict[str, tuple[Callable[[Chain], object], str]] = {
    "gate": (
        lambda c: evaluated(c.folder, c.data, refusals=["image AP 0.5"]),
        "the gate refuses the model: image AP 0.5",
    ),
    "evaluation of another model": (lambda c: evaluated(c.folder, c.data, model="1" * 64), "is of another model"),
    "evaluation of other data": (
        lambda c: edit(c.evaluation / "evaluation.json", data="1" * 64),
        "evaluation.json: data: digest 1",
    ),
    "evaluation without pixels": (lambda c: evaluated(c.folder, c.data, pixel=None), "has no pixel figures"),
    "no evaluation": (lambda c: (c.evaluation / "evaluation.json").unlink(), "No such file"),
    "no JSON": (lambda c: (c.evaluation / "evaluation.json").write_text("{"), "evaluation.json: "),
    "unfinished run": (lambda c: (c.run / "run.json").unlink(), "holds no finished run"),
    "another float model": (lambda c: (c.run / "model.onnx").write_bytes(b"x"), "is not the model of this run"),
    "run on other data": (lambda c: edit(c.run / "run.json", data="1" * 64), "data: digest"),
    "changed artefact": (lambda c: (c.artefact / "model.onnx").write_bytes(b"x"), "was changed after it was compiled"),
    "name with a dot": (lambda c: None, "the manifest: "),
    "thresholds that nothing is clear of": (
        lambda c: evaluated(c.folder, c.data, point={"review": 0.0, "fail": 1.0}),
        "no picture of either kind is judged rightly and clearly enough",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_inputs_that_do_not_belong_together_give_one_line_and_no_package(
    case: str, chain: Chain, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, line = BAD[case]
    spoil(chain)
    assert chain.package(name="Tiny.Inspector" if case == "name with a dot" else "TinyInspector") == 1
    assert line in said(capsys)
    assert not chain.out.exists() or not list(chain.out.iterdir())


def neo_result(path: Path, **more: bytes) -> Path:
    files = {"compiled.so": b"code", "compiled.params": b"weights", "compiled_model.json": b"{}", "libdlr.so": b"dlr"}
    with tarfile.open(path, "w:gz") as archive:
        for name, data in {**files, **more}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def test_a_neo_jobs_result_becomes_a_package_of_all_its_files(chain: Chain) -> None:
    chain.artefact = neo_result(chain.folder / "model.tar.gz")
    assert chain.package() == 0
    folder, manifest = package_of(chain)
    assert (manifest.format, manifest.model) == ("neo", "compiled.so")
    assert {"compiled.so", "compiled.params", "compiled_model.json", "libdlr.so"} < set(manifest.files)
    assert (folder / "compiled.params").read_bytes() == b"weights"
    assert len(read_golden(folder, manifest)) == 6, "expected outputs are the float model's"


def test_a_neo_result_without_a_library_or_with_two_is_refused(
    chain: Chain, capsys: pytest.CaptureFixture[str]
) -> None:
    chain.artefact = neo_result(chain.folder / "two.tar.gz", **{"other.so": b"x"})
    assert chain.package() == 1
    assert "holds 2 compiled libraries (.so), expected one" in said(capsys)
    (chain.folder / "cut.tar.gz").write_bytes(chain.artefact.read_bytes()[:100])
    chain.artefact = chain.folder / "cut.tar.gz"
    assert chain.package() == 1
    assert "is no whole .tar.gz" in said(capsys)


def hostile(path: Path, name: str, kind: bytes) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("name")
        member.type, member.linkname, member.pax_headers = kind, "/etc/passwd", {"path": name}
        archive.addfile(member)
    return path


@pytest.mark.parametrize(
    ("name", "kind", "line"),
    [
        ("../out", tarfile.REGTYPE, "leaves the archive"),
        ("a/../../out", tarfile.REGTYPE, "leaves the archive"),
        ("/etc/cron.d/x", tarfile.REGTYPE, "leaves the archive"),
        ("link", tarfile.SYMTYPE, "is a link"),
        ("link", tarfile.LNKTYPE, "is a link"),
        ("pipe", tarfile.FIFOTYPE, "neither file nor folder"),
        ("out\0in", tarfile.REGTYPE, "has no name that a file can have"),
    ],
)
def test_a_hostile_archive_is_refused_before_it_writes(name: str, kind: bytes, line: str, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=line):
        unpack(hostile(tmp_path / "evil.tar.gz", name, kind), tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_an_archive_of_an_impossible_size_is_refused_in_one_line(tmp_path: Path) -> None:
    member = tarfile.TarInfo("name")
    member.type, member.size = tarfile.XHDTYPE, 2**70
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(member.tobuf(tarfile.GNU_FORMAT) + bytes(4096)))
    with pytest.raises(PackageError, match=r"is no whole \.tar\.gz"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "into")


def test_a_spoilt_archive_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "weights.bin").write_bytes(" ".join(map(str, range(200_000))).encode())
    pack(tmp_path / "place", tmp_path / "a.tar.gz")
    spoilt = bytearray((tmp_path / "a.tar.gz").read_bytes())
    middle = len(spoilt) // 2
    spoilt[middle : middle + 1000] = b"\xff" * 1000
    (tmp_path / "a.tar.gz").write_bytes(spoilt)
    with pytest.raises(PackageError, match=r"is no whole \.tar\.gz"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "into")


def test_an_archive_comes_out_as_it_went_in(tmp_path: Path) -> None:
    (tmp_path / "from/deep").mkdir(parents=True)
    (tmp_path / "from/deep/file").write_bytes(b"content")
    pack(tmp_path / "from", tmp_path / "a.tar.gz")
    unpack(tmp_path / "a.tar.gz", tmp_path / "to")
    assert (tmp_path / "to/deep/file").read_bytes() == b"content"


def test_golden_masks_are_steady_ones(chain: Chain) -> None:
    """A picture whose mask hangs on the threshold is left out, however clear its score is."""
    assert chain.package() == 0
    _, manifest = package_of(chain)

    def predict(tensor: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
        strength = float(tensor.max()) / 255
        mask = np.zeros((1, 1, 8, 12), np.float32)
        mask[..., :6] = strength
        return {"score": np.array([[1.0 if strength > 0.3 else 0.0]], np.float32), "mask": mask}

    def candidate(name: str, value: int, *, defective: bool) -> Candidate:
        return Candidate(name, np.full((1, 32, 48, 3), value, np.uint8), defective)

    good = [candidate(f"good {number}", 10 + number, defective=False) for number in range(4)]
    hanging = [candidate(f"hanging {number}", 128 + number, defective=True) for number in range(4)]
    steady = [candidate(f"steady {number}", 200 + number, defective=True) for number in range(4)]
    names = {found.name for found, _ in choose([*good, *hanging, *steady], predict, manifest)}
    assert names & {found.name for found in steady}
    assert not names & {found.name for found in hanging}
    with pytest.raises(InputError, match="no picture of either kind"):
        choose([*good, *hanging], predict, manifest)


def test_golden_masks_show_every_label(chain: Chain) -> None:
    """A runtime that spoils one channel alone is noticed: also the label that its pictures show less steadily than the others'."""
    assert chain.package("--role", "segmenter") == 0
    _, manifest = package_of(chain)
    labels = ("scratch", "crack", "spot", "inclusion")
    output = msgspec.structs.replace(manifest.outputs[0], shape=(1, 4, 8, 12))
    several = msgspec.structs.replace(manifest, labels=labels, outputs=(output,))

    def predict(tensor: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
        mask = np.zeros((1, 4, 8, 12), np.float32)
        if tensor.max() >= 100:
            label = int(tensor.max()) // 10 % 10
            mask[0, label, : 8 - 2 * label] = 0.9
        return {"mask": mask}

    def candidate(value: int) -> Candidate:
        return Candidate(f"{value}", np.full((1, 32, 48, 3), value, np.uint8), value >= 100)

    found = choose([candidate(value) for value in (*range(5), *range(100, 140))], predict, several)
    shown = [int(outputs["mask"].sum(axis=(0, 2, 3)).argmax()) for case, outputs in found if case.defective]
    assert sorted(set(shown)) == [0, 1, 2, 3]
    assert len(found) == 9  # three good ones, three of the steadiest label, one of each other


def test_a_segmenters_metrics_are_those_that_its_thresholds_decide(chain: Chain) -> None:
    assert chain.package("--role", "segmenter") == 0
    _, manifest = package_of(chain)
    assert manifest.thresholds.score is None
    assert set(manifest.metrics) == {"image_ap", "image_auroc", "pixel_ap", "pixel_iou"}
