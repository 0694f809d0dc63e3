"""Signing by KMS, and the count of silent devices, on moto."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from linewatch_common.approval import Envelope
from linewatch_common.errors import InputError, PackageError

from model_build.fleet.calls import Caller
from model_build.infrastructure import job
from model_build.infrastructure.machine import definition
from model_build.infrastructure.services import Services
from model_build.infrastructure.signing import KmsKey
from model_build.infrastructure.watch import metric_line, watch
from model_build.packaging.envelope import approve, sign, verify
from model_build.packaging.keys import trusting
from tests.fakes.greengrassv2.reports import stream_line
from tests.integration.fleet_cloud import moto_shims
from tests.integration.fleet_cloud.account import FLEET, PACKAGE, client


def test_a_key_in_kms_signs_as_a_key_in_a_file_does(aws: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    moto_shims.install(monkeypatch)
    kms = client("kms")
    made = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    held = KmsKey(kms, made, Caller())
    shutil.copytree(PACKAGE, tmp_path / "package")
    approval = approve(tmp_path / "package", "anna", "2026-11-22T10:00:00Z")
    (tmp_path / "signature.json").write_bytes(held.sign(approval))
    assert verify(tmp_path, held.trusted())[0] == approval

    local = ec.generate_private_key(ec.SECP256R1())
    ours, theirs = (msgspec.json.decode(raw, type=Envelope) for raw in (sign(approval, local), held.sign(approval)))
    assert (ours.payload, ours.payload_type) == (theirs.payload, theirs.payload_type)
    with pytest.raises(PackageError, match="unknown key"):
        verify(tmp_path, trusting(local.public_key()))
    wrong = kms.create_key(KeySpec="ECC_NIST_P384", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    with pytest.raises(InputError, match="P-256"):
        KmsKey(kms, wrong, Caller()).public()


def test_devices_that_fell_silent_are_counted_even_when_their_reports_are_gone(aws: None) -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket=FLEET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    now = datetime.now(UTC)
    lines = b"".join(stream_line(f"plant-a-{n:04}", f'{{"at":"{now:%Y-%m-%dT%H:%M:%SZ}"}}'.encode()) for n in (1, 2))
    s3.put_object(Bucket=FLEET, Key=f"health/{now:%Y/%m/%d/%H}/linewatch-health-1", Body=lines)
    for number in (1, 2):
        client("iot").create_thing(thingName=f"plant-a-{number:04}")

    def counted(later: timedelta) -> dict[str, int]:
        now = datetime.now(UTC) + later
        return watch(
            Services(
                client=client,
                fleet="plant-a",
                fleet_bucket=FLEET,
                component_bucket="",
                clock=lambda: now,
                sleep=lambda _: None,
            )
        )

    assert counted(timedelta(minutes=1)) == {"DevicesReporting": 2, "DevicesSilent": 0}
    assert counted(timedelta(minutes=30)) == {"DevicesReporting": 0, "DevicesSilent": 2}
    client("iot").delete_thing(thingName="plant-a-0002")
    assert counted(timedelta(minutes=31)) == {"DevicesReporting": 0, "DevicesSilent": 1}, "one left the fleet"
    assert json.loads(s3.get_object(Bucket=FLEET, Key="health/heard.json")["Body"].read()).keys() == {"plant-a-0001"}
    assert counted(timedelta(days=3)) == {"DevicesReporting": 0, "DevicesSilent": 0}
    line = json.loads(metric_line("plant-a", {"DevicesSilent": 2}, 1))
    assert line["DevicesSilent"] == 2
    assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["Fleet"]]


def test_the_job_finds_its_region_in_what_the_state_machine_gives_it(
    aws: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client("s3").create_bucket(Bucket=FLEET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    for name, value in definition()["States"]["Build"]["Parameters"]["Environment"].items():
        monkeypatch.setenv(name, {"${Region}": "eu-central-1", "${FleetBucket}": FLEET}.get(value, "x"))
    assert job.main(["--release", "nobody-approved-it"]) == 1
    assert "admitted.json does not exist" in capsys.readouterr().err
