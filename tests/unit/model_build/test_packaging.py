"""Signed packages: the same digest from the same inputs, a retry that reuses, and one clear line for each refusal."""

import base64
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import awscrt.crypto
import pytest
from cryptography.hazmat.primitives import serialization
from linewatch_common.approval import SIGNATURE_FILE, encoded
from linewatch_common.errors import PackageError

from model_build.__main__ import main
from model_build.packaging.envelope import verify
from model_build.packaging.keys import TrustedKeys, read_private, read_trusted
from tests.unit.model_build.runs import synced

SAMPLE = Path(__file__).parents[3] / "components" / "models" / "SurfaceClassifier"
AT = "2026-11-22T10:00:00Z"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    shutil.copytree(SAMPLE, folder)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    del manifest["files"]
    (folder / "manifest.json").write_text(json.dumps(manifest | {"name": "Part", "version": "1.2.0"}))
    return folder


@pytest.fixture(params=["p256", "ed25519"])
def key(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    assert main(["key", str(tmp_path / "key.pem"), "--kind", request.param]) == 0
    return tmp_path / "key.pem"


def packaged(source: Path, out: Path, key: Path) -> int:
    return main(["sign", str(source), str(out), "--key", str(key), "--approver", "anna", "--approved-at", AT])


def trusted(key: Path) -> list[str]:
    return ["--trust", f"{key}.pub"]


def test_a_signed_package_is_verified_and_a_retry_reuses_it(
    source: Path, key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert packaged(source, out, key) == 0
    first = capsys.readouterr().out
    place = out / "Part-1-2-0"
    envelope = (place / SIGNATURE_FILE).read_bytes()
    assert packaged(source, out, key) == 0
    assert capsys.readouterr().out == first
    assert (place / SIGNATURE_FILE).read_bytes() == envelope
    assert packaged(source, tmp_path / "other", key) == 0
    assert first.split()[1:] == capsys.readouterr().out.split()[1:]  # the digest does not depend on place or time
    assert main(["verify", str(place), *trusted(key), "--name", "Part", "--not-before", "1.2.0"]) == 0
    assert "approved by anna at 2026-11-22T10:00:00Z" in capsys.readouterr().out


def test_a_package_lies_on_the_disk_before_it_appears(
    source: Path, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable = synced(monkeypatch)
    assert packaged(source, tmp_path / "out", key) == 0
    files = {path.name: path.stat().st_ino in durable for path in tmp_path.glob("out/*/**/*")}
    assert {"manifest.json", "signature.json", "package"} < set(files)
    assert all(files.values()), files


def test_what_a_device_has_already_can_check_the_signature(source: Path, tmp_path: Path) -> None:
    """awscrt is in every component's artefact, with ECDSA over P-256: no dependency is needed there."""
    key, out = tmp_path / "key.pem", tmp_path / "out"
    assert main(["key", str(key)]) == 0
    assert packaged(source, out, key) == 0
    envelope = json.loads((out / "Part-1-2-0" / SIGNATURE_FILE).read_bytes())
    public = next(iter(read_trusted([tmp_path / "key.pem.pub"]).keys.values()))
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    digest = hashlib.sha256(encoded(base64.b64decode(envelope["payload"]))).digest()
    value = base64.b64decode(envelope["signatures"][0]["sig"])
    device = awscrt.crypto.EC.new_key_from_der_data(der)
    assert device.verify(digest, value)
    assert not device.verify(hashlib.sha256(b"other").digest(), value)


def extra_file(place: Path) -> None:
    (place / "package" / "evil.py").write_text("x")


def changed_weights(place: Path) -> None:
    with (place / "package" / "model.onnx").open("ab") as file:
        file.write(b"x")


def symlink(place: Path) -> None:
    (place / "package" / "link").symlink_to("/etc/passwd")


def changed_manifest(place: Path) -> None:
    path = place / "package" / "manifest.json"
    path.write_text(path.read_text().replace('"Part"', '"Park"'))


def forged_payload(place: Path) -> None:
    envelope = json.loads((place / SIGNATURE_FILE).read_bytes())
    payload = base64.b64decode(envelope["payload"]).replace(b"anna", b"evil")
    envelope["payload"] = base64.b64encode(payload).decode()
    (place / SIGNATURE_FILE).write_text(json.dumps(envelope))


def no_envelope(place: Path) -> None:
    (place / SIGNATURE_FILE).write_text("[]")


REFUSED: list[tuple[Callable[[Path], None], str]] = [
    (extra_file, "'evil.py' is not in the manifest"),
    (changed_weights, "'model.onnx' was changed"),
    (symlink, "is a symbolic link"),
    (changed_manifest, "is not the one that was approved"),
    (forged_payload, "the signature is wrong"),
    (no_envelope, "not an envelope"),
]


def test_a_tampered_package_is_refused_in_one_line(
    source: Path, key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert packaged(source, tmp_path / "out", key) == 0
    for spoil, line in REFUSED:
        place = tmp_path / spoil.__name__
        shutil.copytree(tmp_path / "out" / "Part-1-2-0", place)
        spoil(place)
        capsys.readouterr()
        assert main(["verify", str(place), *trusted(key), "--name", "Part"]) == 1
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1
        assert said[0].startswith("verify: ")
        assert line in said[0]


def test_an_unknown_key_a_wrong_name_and_an_older_version_are_refused(source: Path, key: Path, tmp_path: Path) -> None:
    assert packaged(source, tmp_path / "out", key) == 0
    place, known = tmp_path / "out" / "Part-1-2-0", read_trusted([Path(f"{key}.pub")])
    with pytest.raises(PackageError, match="signed by unknown key"):
        verify(place, TrustedKeys({}))
    with pytest.raises(PackageError, match="holds Part, expected Other"):
        verify(place, known, name="Other")
    with pytest.raises(PackageError, match=r"version 1\.2\.0 is older than 1\.10\.0"):
        verify(place, known, not_before="1.10.0")
    assert read_private(key)
    key.chmod(0o644)
    assert packaged(source, tmp_path / "out", key) == 1


def test_a_security_floor_that_comes_too_late_is_refused(
    source: Path, key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would not reach a device: the stored signature does not say it."""
    out = tmp_path / "out"
    assert packaged(source, out, key) == 0
    again = ["sign", str(source), str(out), "--key", str(key), "--approver", "anna", "--security-floor"]
    capsys.readouterr()
    assert main([*again, "1.2.0"]) == 1
    assert "is signed already, with security floor none" in capsys.readouterr().err
    with_field(source, version="1.3.0")
    assert main([*again, "1.2.0"]) == main([*again, "1.2.0"]) == packaged(source, out, key) == 0


@pytest.mark.parametrize("flag", ["--security-floor", "--not-before"])
def test_a_version_that_is_none_is_a_wrong_command_line(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = {
        "--security-floor": ["sign", "a", "b", "--key", "k", "--approver", "anna"],
        "--not-before": ["verify", "a", "--trust", "k"],
    }
    with pytest.raises(SystemExit):
        main([*command[flag], flag, "v1.2"])
    assert "'v1.2' is no version like 1.2.0" in capsys.readouterr().err


def test_no_half_of_a_key_is_replaced(key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The private one lies elsewhere, as it should: what is trusted must not become another."""
    key.unlink()
    public = key.with_name("key.pem.pub")
    before = public.read_bytes()
    assert main(["key", str(key)]) == 1
    assert "key.pem.pub: is there already, a key is never replaced" in capsys.readouterr().err
    assert public.read_bytes() == before
    assert not key.exists()


def with_field(source: Path, **fields: object) -> None:
    path = source / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | fields))


def test_a_bad_source_is_refused_and_nothing_is_written(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, out = tmp_path / "key.pem", tmp_path / "out"
    assert main(["key", str(key), "--kind", "ed25519"]) == 0
    assert packaged(source, out, key) == 0
    bad: list[tuple[Callable[[Path], object], str]] = [
        (lambda place: (place / "notes.txt").write_text("x"), "'notes.txt' is extra"),
        (lambda place: (place / "link").symlink_to("model.onnx"), "'link' is a symbolic link"),
        (lambda place: with_field(place, model="../model.onnx"), "'model.onnx' is extra"),
        (lambda place: with_field(place, version="1.1.9"), "1.1.9 is older than the stored 1.2.0"),
        (lambda place: (place / "golden" / "golden.npz").write_bytes(b"x"), "golden"),
        (lambda place: with_field(place, metrics={"image_ap": 0.1}), "published with other content"),
        (lambda place: (place / "manifest.json").unlink(), "No such file"),
    ]
    for number, (spoil, line) in enumerate(bad):
        place = tmp_path / f"bad{number}"
        shutil.copytree(source, place)
        spoil(place)
        capsys.readouterr()
        assert packaged(place, out, key) == 1
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1
        assert line in said[0]
        assert sorted(path.name for path in out.iterdir()) == ["Part-1-2-0", "Part-1-2-0.tar.gz"]
