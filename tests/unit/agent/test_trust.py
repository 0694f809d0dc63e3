"""Signed packages on the device: what is refused, in which line, and that a refusal touches nothing that runs."""

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from linewatch_agent.config import AgentConfig, validate
from linewatch_agent.errors import NotLoadableError
from linewatch_agent.folders import find_model
from linewatch_agent.keys import read_keys
from linewatch_agent.trust import FloorFile, Trust
from linewatch_common.errors import ConfigError, PackageError
from linewatch_common.messages.models import ModelActivated, ModelProved, ModelRefused

from model_build.packaging.envelope import approve, sign
from model_build.packaging.keys import PrivateKey, configuration_line, id_of
from tests.unit.agent.support import make_package, model_folder, offer_of
from tests.unit.agent.test_roles import Bench

AT = "2026-11-22T10:00:00Z"
KEYS: dict[str, PrivateKey] = {
    "p256": ec.generate_private_key(ec.SECP256R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
}
STRANGER = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(params=KEYS)
def key(request: pytest.FixtureRequest) -> PrivateKey:
    return KEYS[request.param]


def signed(place: Path, key: PrivateKey, *, version: str = "1.0.0", floor: str | None = None, **changes: Any) -> Path:
    """The folder of a signed package."""
    folder = make_package(place / "package", version=version, **changes)
    (place / "signature.json").write_bytes(sign(approve(folder, "anna", AT, floor), key))
    return folder


def config(*keys: PrivateKey, required: bool = False) -> AgentConfig:
    return AgentConfig(trusted_keys=[line_of(key) for key in keys], require_signature=required)


def line_of(key: PrivateKey) -> str:
    return configuration_line(key.public_key())


def trusting(*keys: PrivateKey, required: bool = False, floors: Path | None = None) -> Trust:
    return Trust(read_keys([line_of(key) for key in keys]), required, None if floors is None else FloorFile(floors))


def test_a_signed_package_is_proved_served_and_restored_with_its_signature(tmp_path: Path, key: PrivateKey) -> None:
    demanding = config(key, required=True)
    folder = signed(tmp_path / "v1", key)
    bench = Bench(tmp_path / "work", demanding)
    assert isinstance(bench.roles.answer(offer_of(folder, trial=True)), ModelProved)
    assert isinstance(bench.roles.answer(offer_of(folder)), ModelActivated)
    copy = Path(bench.roles.statuses()["classifier"].folder)
    assert (copy.parent / "signature.json").read_bytes() == (tmp_path / "v1/signature.json").read_bytes()
    shutil.rmtree(tmp_path / "v1")
    assert Bench(bench.work, demanding).serving == {"classifier": "Tiny-1-0-0"}
    assert Bench(bench.work, config(STRANGER, required=True)).serving == {}, "the key was withdrawn"


def unsign(place: Path) -> None:
    (place / "signature.json").unlink()


def by_a_stranger(place: Path) -> None:
    (place / "signature.json").write_bytes(sign(approve(place / "package", "anna", AT), STRANGER))


def by_the_trusted_id(place: Path) -> None:
    """A stranger's signature under the trusted key's id."""
    mine = json.loads((place / "signature.json").read_bytes())
    by_a_stranger(place)
    theirs = json.loads((place / "signature.json").read_bytes())
    theirs["signatures"][0]["keyid"] = mine["signatures"][0]["keyid"]
    (place / "signature.json").write_text(json.dumps(theirs))


def forged(place: Path) -> None:
    envelope = json.loads((place / "signature.json").read_bytes())
    payload = base64.b64decode(envelope["payload"]).replace(b"anna", b"evil")
    envelope["payload"] = base64.b64encode(payload).decode()
    (place / "signature.json").write_text(json.dumps(envelope))


def of_another_package(place: Path) -> None:
    other = make_package(place / "other" / "package", name="Other")
    (place / "signature.json").write_bytes(sign(approve(other, "anna", AT), KEYS["p256"]))


def manifest_swapped(place: Path) -> None:
    path = place / "package" / "manifest.json"
    path.write_text(path.read_text().replace('"fail": 0.8', '"fail": 0.99'))


def manifest_no_json(place: Path) -> None:
    """Nothing of it is parsed: the line is about the approval."""
    (place / "package" / "manifest.json").write_text("{" * 1000)


def changed_weights(place: Path) -> None:
    with (place / "package" / "model.onnx").open("ab") as file:
        file.write(b"x")


def extra_file(place: Path) -> None:
    (place / "package" / "evil.py").write_text("x")


def symlink_inside(place: Path) -> None:
    (place / "package" / "link").symlink_to("/etc/passwd")


def symlinked_signature(place: Path) -> None:
    (place / "signature.json").rename(place / "elsewhere.json")
    (place / "signature.json").symlink_to(place / "elsewhere.json")


def symlinked_package(place: Path) -> None:
    (place / "package").rename(place / "elsewhere")
    (place / "package").symlink_to(place / "elsewhere")


def huge_signature(place: Path) -> None:
    (place / "signature.json").write_bytes(b" " * 70_000)


def no_envelope(place: Path) -> None:
    (place / "signature.json").write_text("[]")


REFUSED: list[tuple[Callable[[Path], None], str]] = [
    (unsign, "is not signed, and RequireSignature is on"),
    (by_a_stranger, f"signed by unknown key(s) {id_of(STRANGER.public_key())}"),
    (by_the_trusted_id, "the signature is wrong"),
    (forged, "the signature is wrong"),
    (of_another_package, "is not the one that was approved"),
    (manifest_swapped, "is not the one that was approved"),
    (manifest_no_json, "is not the one that was approved"),
    (changed_weights, "'model.onnx' was changed"),
    (extra_file, "'evil.py' is not in the manifest"),
    (symlink_inside, "'link' is a symbolic link"),
    (symlinked_signature, "signature.json: Too many levels of symbolic links"),
    (symlinked_package, "is not the one that was approved"),
    (huge_signature, "too big for an envelope"),
    (no_envelope, "not an envelope"),
]


@pytest.mark.parametrize(("spoil", "line"), REFUSED, ids=[spoil.__name__ for spoil, _ in REFUSED])
def test_a_package_that_is_not_as_approved_is_refused_in_one_line(
    spoil: Callable[[Path], None], line: str, tmp_path: Path
) -> None:
    key = KEYS["p256"]
    folder = signed(tmp_path / "v2", key, version="2.0.0")
    offer = offer_of(folder)
    spoil(tmp_path / "v2")
    with pytest.raises(NotLoadableError) as caught:
        find_model(folder, trusting(key, required=True))
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
    bench = Bench(tmp_path / "work", config(key, required=True))
    assert isinstance(bench.roles.answer(offer_of(signed(tmp_path / "v1", key))), ModelActivated)
    answer = bench.roles.answer(offer)
    assert isinstance(answer, ModelRefused)
    assert line in answer.reason
    assert (bench.serving, bench.copies) == ({"classifier": "Tiny-1-0-0"}, ["Tiny-1-0-0"])


def test_without_the_demand_unsigned_packages_run_but_a_bad_signature_does_not(tmp_path: Path) -> None:
    optional = trusting(KEYS["p256"])
    assert find_model(make_package(tmp_path / "plain"), optional).manifest is not None
    assert find_model(model_folder(tmp_path / "bare"), optional).manifest is None
    signed(tmp_path / "s", STRANGER)
    with pytest.raises(NotLoadableError, match="unknown key"):
        find_model(tmp_path / "s" / "package", optional)
    with pytest.raises(NotLoadableError, match="unknown key"):
        find_model(tmp_path / "s" / "package", Trust())


def test_a_bare_model_cannot_be_signed(tmp_path: Path) -> None:
    with pytest.raises(NotLoadableError, match="is no linewatch package, so it is not signed"):
        find_model(model_folder(tmp_path / "bare"), trusting(KEYS["p256"], required=True))


def test_a_version_below_the_signed_floor_never_runs_again_a_rollback_above_it_does(tmp_path: Path) -> None:
    key = KEYS["p256"]
    floors = tmp_path / "work" / "security-floors.json"
    old, middle, new = (
        signed(tmp_path / version, key, version=version, floor="1.1.0" if version == "1.2.0" else None)
        for version in ("1.0.0", "1.1.0", "1.2.0")
    )
    bench = Bench(tmp_path / "work", config(key))
    assert isinstance(bench.roles.answer(offer_of(old)), ModelActivated)
    assert isinstance(bench.roles.answer(offer_of(new, trial=True)), ModelProved)
    assert FloorFile(floors).read() == {}, "a trial declares nothing"
    assert isinstance(bench.roles.answer(offer_of(new)), ModelActivated)
    refused = bench.roles.answer(offer_of(old))
    assert isinstance(refused, ModelRefused)
    assert "Tiny 1.0.0 is older than 1.1.0, the oldest version that is still safe" in refused.reason
    assert isinstance(bench.roles.answer(offer_of(middle)), ModelActivated), "a rollback"
    unsigned = make_package(tmp_path / "unsigned", version="1.0.5")
    with pytest.raises(NotLoadableError, match=r"older than 1\.1\.0"):
        find_model(unsigned, trusting(key, floors=floors))


def test_the_floor_only_rises_and_survives_a_spoilt_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key, floors = KEYS["p256"], tmp_path / "floors.json"
    trust = trusting(key, floors=floors)
    trust.note(signed(tmp_path / "a", key, version="3.0.0", floor="2.10.0"))
    trust.note(signed(tmp_path / "b", key, version="3.0.1", floor="2.9.0"))
    assert FloorFile(floors).read() == {"Tiny": "2.10.0"}
    floors.write_text("{")
    assert FloorFile(floors).read() == {}
    assert "no security floor is known" in caplog.text
    with pytest.raises(PackageError, match="below its own security floor"):
        signed(tmp_path / "c", key, version="1.0.0", floor="1.0.1")


def test_keys_are_read_as_the_printed_line_or_as_pem() -> None:
    public = KEYS["p256"].public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    for text in (line_of(KEYS["p256"]), pem):
        assert read_keys([text]).knows(id_of(public))
    assert len(json.dumps([line_of(KEYS["p256"])] * 6)) < 1022, "as much as Greengrass lite keeps in a list"


P384 = ec.generate_private_key(ec.SECP384R1()).public_key()
BAD_KEYS = {
    "text": ("not a key", "is not base64"),
    "another thing": (base64.b64encode(b"x" * 91).decode(), "is no public key"),
    "another curve": (configuration_line(P384), "is no public key"),
    "off the curve": (
        base64.b64encode(base64.b64decode(line_of(KEYS["p256"]))[:27] + b"\1" * 64).decode(),
        "is no point of P-256",
    ),
    "cut": (line_of(KEYS["p256"])[:-8], "is no public key"),
}


@pytest.mark.parametrize("case", BAD_KEYS)
def test_a_key_that_is_none_is_refused_when_the_configuration_is_read(case: str) -> None:
    text, line = BAD_KEYS[case]
    with pytest.raises(ConfigError, match=f"TrustedKeys: .*{line}"):
        validate(AgentConfig(trusted_keys=[text]))


def test_to_demand_signatures_needs_a_key() -> None:
    with pytest.raises(ConfigError, match="TrustedKeys: is empty"):
        validate(AgentConfig(require_signature=True))
    validate(AgentConfig(require_signature=True, trusted_keys=[line_of(KEYS["p256"])]))
