"""From an approval to the fleet on moto and the greengrassv2 fake, without a manual step; and each way in which it can fail."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from linewatch_common.approval import SIGNATURE_FILE
from linewatch_common.errors import InputError
from linewatch_common.manifest import load_manifest, manifest_digest
from moto.sns.models import sns_backends

from model_build.fleet.calls import Caller
from model_build.infrastructure import starter
from model_build.infrastructure.records import Release, read, release_of
from model_build.infrastructure.signing import KmsKey
from model_build.packaging.envelope import approve, sign, verify
from model_build.packaging.tarball import unpack
from tests.fakes.greengrassv2.fleet import Kind, Quality, Rule
from tests.integration.fleet_cloud import moto_shims
from tests.integration.fleet_cloud.account import (
    COMPONENT,
    COMPONENTS,
    MODELS,
    OLD,
    OTHERS,
    PACKAGE,
    RINGS,
    Account,
    client,
    open_account,
)

NEW = "1.0.0"


@pytest.fixture
def account(aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    moto_shims.install(monkeypatch)
    with open_account() as opened:
        yield opened


def subjects(account: Account) -> list[str | None]:
    """Of the messages that people got."""
    sent = sns_backends["123456789012"]["eu-central-1"].topics[account.topic].sent_notifications
    return [subject for _, _, subject, *_ in sent]


def by_hand(account: Account, *rings: str) -> bool:
    """Whether what a person deployed before stands in these rings."""
    return all(account.standing(ring)["deploymentName"] == f"by hand {ring}" for ring in rings)


def executions(account: Account) -> list[str]:
    """Names of all executions."""
    return [each.name for each in account.machines.executions]


def test_an_approval_reaches_fifty_devices_once(account: Account) -> None:
    arn = account.register()
    event = account.approve(arn)
    started = account.deliver(event)
    assert started is not None
    assert account.deliver(event) is not None  # the same event again, while it runs
    ended = account.machines.run()
    outcome = account.get(f"releases/{started['release']}/outcome.json")
    assert (ended.status, outcome["status"], outcome["reason"]) == ("SUCCEEDED", "deployed", "")
    for ring in RINGS:
        assert account.versions(ring) == {NEW}
        assert {name: spec["componentVersion"] for name, spec in account.standing(ring)["components"].items()} == {
            COMPONENT: NEW,
            **OTHERS,
        }
    assert len(account.get(f"fleets/plant-a/plans/{outcome['plan']}/wave-2/devices.json")) == RINGS["wave-2"]
    noted = client("sagemaker").describe_model_package(ModelPackageName=arn)["CustomerMetadataProperties"]
    assert noted["linewatch_outcome"] == "deployed"

    # What the write-back caused, and the same approval once more, start nothing.
    assert account.deliver(account.event(arn, ["CustomerMetadataProperties"])) is None
    assert starter.start(account.services, account.event(arn, ["CustomerMetadataProperties"]))["started"] is False
    again = account.deliver(event)
    assert again is not None
    assert not again["started"]
    assert executions(account) == [started["release"]]
    assert len(account.jobs) == 1


def rules(*kinds: Kind) -> Callable[[Account], None]:
    """The first canary devices take the new version so."""

    def prepare(account: Account) -> None:
        for thing, kind in zip(account.backend.groups["plant-a-canary"], kinds, strict=False):
            account.backend.devices[thing].rules.append(Rule(kind, COMPONENT, NEW))

    return prepare


def quality(gate: dict[str, Any], **changed: float) -> Callable[[Account], None]:
    """The new version's parts look like this."""

    def prepare(account: Account) -> None:
        account.configure(gate)
        account.backend.qualities[COMPONENT, NEW] = Quality(**changed)

    return prepare


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        pytest.param(rules(Kind.BROKEN), "BROKEN", id="broken"),
        pytest.param(rules(Kind.SILENT), "plant-a-0001", id="silent"),
        pytest.param(rules(Kind.MUTE, Kind.MUTE), "plant-a-0001", id="mute"),
        pytest.param(quality({}, latency_ms=400), "take over 150 ms", id="latency"),
        pytest.param(quality({"minimum_parts": 500}, defect_rate=0.4), "defect", id="defect-rate"),
    ],
)
def test_a_canary_that_fails_stops_there_and_gets_its_old_map_back(
    account: Account, prepare: Callable[[Account], None], reason: str
) -> None:
    before = account.standing("canary")["components"]
    prepare(account)
    ended, outcome = account.release()
    assert (ended.status, ended.error, outcome["status"]) == ("FAILED", "GateFailed", "rolled back")
    assert reason in outcome["reason"]
    assert outcome["reason"].startswith("ring canary: ")
    assert ended.cause == outcome["reason"]
    restored = account.standing("canary")["components"]
    assert {name: spec["componentVersion"] for name, spec in restored.items()} == {COMPONENT: OLD, **OTHERS}
    assert restored[COMPONENT]["configurationUpdate"] == {"merge": '{"Station":"line7"}', "reset": [""]}
    assert set(before) == set(restored)
    assert by_hand(account, "wave-1", "wave-2")
    assert outcome["rings"][0]["ring"] == "canary"


def test_a_gate_that_cannot_say_holds_and_leaves_the_ring(account: Account) -> None:
    account.configure({"minimum_parts": 1_000_000})
    ended, outcome = account.release()
    assert (ended.status, outcome["status"]) == ("FAILED", "held")
    assert account.versions("canary") == {NEW}
    assert by_hand(account, "wave-1", "wave-2")


def test_changed_bytes_are_refused(account: Account) -> None:
    arn = account.register()
    account.put("packages/classifier.tar.gz", b"something else", MODELS)
    ended, outcome = account.release(arn)
    assert (ended.error, outcome["status"]) == ("BuildRefused", "refused")
    assert "it was changed since" in outcome["reason"]
    assert by_hand(account, *RINGS)


def by_a_stranger() -> bytes:
    """A good signature of the right package, by a key that nobody trusts."""
    return sign(approve(PACKAGE, "nobody", "2026-11-22T10:00:00Z"), ec.generate_private_key(ec.SECP256R1()))


def by_nobody() -> bytes:
    """The same envelope without a signature."""
    return json.dumps({**json.loads(by_a_stranger()), "signatures": []}).encode()


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        pytest.param(by_a_stranger, "signed by unknown key", id="another-key"),
        pytest.param(by_nobody, "signature", id="unsigned"),
        pytest.param(lambda: b"", "signature", id="empty"),
    ],
)
def test_a_signature_by_another_key_or_by_none_is_refused(
    account: Account, stored: Callable[[], bytes], reason: str
) -> None:
    arn = account.register()
    account.put(f"releases/{release_of(arn)}/{SIGNATURE_FILE}", stored())
    _, outcome = account.release(arn)
    assert outcome["status"] == "refused"
    assert reason in outcome["reason"]
    assert by_hand(account, *RINGS)


def test_a_package_without_metrics_is_refused(account: Account) -> None:
    _, outcome = account.release(account.register(metrics=False))
    assert outcome["status"] == "refused"
    assert outcome["reason"].startswith("the package has no metrics")
    assert by_hand(account, *RINGS)


def test_a_registration_without_its_properties_and_one_that_changed_after_the_approval_are_refused(
    account: Account,
) -> None:
    arn = account.register()
    event = account.approve(arn)
    found = client("sagemaker").describe_model_package(ModelPackageName=arn)["CustomerMetadataProperties"]
    client("sagemaker").update_model_package(
        ModelPackageArn=arn,
        ModelApprovalStatus="Approved",
        CustomerMetadataProperties={**found, "package_sha256": "b" * 64},
    )
    started = account.deliver(event)
    assert started is not None
    account.machines.run()
    outcome = account.get(f"releases/{started['release']}/outcome.json")
    assert (outcome["status"], outcome["error"]) == ("refused", "WithdrawnError")
    assert "package_sha256 was changed after the approval" in outcome["reason"]
    assert subjects(account) == [f"{started['release']}: refused"], "nobody knew the component yet"

    bare = account.register()
    stripped = {"schema": found["schema"], "model": found["model"]}
    client("sagemaker").update_model_package(
        ModelPackageArn=bare, ModelApprovalStatus="PendingManualApproval", CustomerMetadataProperties=stripped
    )
    started = account.deliver(account.approve(bare))
    assert started is not None
    account.machines.run()
    outcome = account.get(f"releases/{started['release']}/outcome.json")
    assert (outcome["status"], outcome["error"]) == ("refused", "InputError")
    assert by_hand(account, *RINGS)


def test_a_component_version_that_does_not_become_deployable(account: Account) -> None:
    account.backend.break_component(COMPONENT, NEW)
    _, outcome = account.release()
    assert (outcome["status"], outcome["error"]) == ("refused", "FleetError")
    assert "is FAILED" in outcome["reason"]
    assert by_hand(account, *RINGS)


def test_somebody_elses_deployment_in_between_is_left_alone(account: Account) -> None:
    def interfere() -> None:
        if account.standing("wave-1")["deploymentName"].startswith("plant-a/"):
            account.deploy("wave-1")

    account.on_sleep = interfere
    ended, outcome = account.release()
    assert (ended.error, outcome["status"]) == ("ForeignRevisionError", "foreign revision")
    assert "somebody else deployed in between" in outcome["reason"]
    assert by_hand(account, "wave-1", "wave-2")


def test_throttling_to_the_end_gives_up_and_says_so(account: Account) -> None:
    account.backend.throttle("CreateDeployment", 1_000_000)
    ended, outcome = account.release()
    assert (ended.error, outcome["status"]) == ("CloudUnavailableError", "rolled back")
    assert "Rate exceeded" in outcome["reason"]
    assert by_hand(account, *RINGS)


def test_credentials_that_expire_in_the_middle_leave_a_record_and_a_way_back(account: Account) -> None:
    def expire() -> None:
        account.backend.expired = account.versions("wave-1") == {NEW}

    account.on_sleep = expire
    ended, outcome = account.release()
    assert (ended.error, outcome["status"]) == ("CredentialsError", "incomplete")
    assert "expired" in outcome["reason"]
    account.on_sleep = lambda: None
    account.backend.expired = False
    undone = account.services.core.roll_back(outcome["plan"], "credentials renewed")
    assert [row["ring"] for row in undone["rings"]] == ["wave-1", "canary"]
    account.clock.advance(600)
    assert account.versions("canary") == account.versions("wave-1") == {OLD}
    assert by_hand(account, "wave-2")


def test_a_long_release_goes_on_in_further_chapters(account: Account) -> None:
    account.make_state_machine(turns=2)
    ended, outcome = account.release()
    assert (ended.status, outcome["status"]) == ("SUCCEEDED", "deployed")
    release = outcome["release"]
    assert executions(account)[:3] == [release, f"{release}-2", f"{release}-3"]
    assert max(map(len, executions(account))) <= 80


def test_a_starter_that_was_killed_after_its_record_is_made_good(account: Account) -> None:
    arn = account.register()
    event = account.approve(arn)
    machine, account.state_machine = account.state_machine, "arn:aws:states:eu-central-1:123456789012:stateMachine:gone"
    with pytest.raises(InputError):
        account.deliver(event)
    assert read(account.services.releases, release_of(arn), "release.json", Release).model_package == arn
    account.state_machine = machine
    account.backend.break_component(COMPONENT, NEW)  # a short release is enough
    started = account.deliver(event)
    assert started is not None
    assert started["started"]
    account.machines.run()
    with pytest.raises(InputError, match="no version in a model package group"):
        starter.start(account.services, {**event, "detail": {**event["detail"], "ModelPackageArn": "arn:aws:s3:::x"}})
    with pytest.raises(InputError, match="detail"):
        starter.start(account.services, {"time": "now"})


def compiling(account: Account, *, ends: str = "COMPLETED") -> None:
    """The account asks for Neo's compilation after an approval."""
    account.neo_architecture, account.neo.ends = "X86_64", ends


def test_without_the_flag_nothing_is_compiled(account: Account) -> None:
    ended, outcome = account.release()
    assert (outcome["status"], outcome["note"]) == ("deployed", "")
    assert not {"Source", "Compile"} & set(ended.states)
    assert account.neo.jobs == {}


def test_what_is_compiled_after_the_approval_passes_the_gate_before_it_is_signed_and_deployed(account: Account) -> None:
    compiling(account)
    ended, outcome = account.release()
    assert (ended.status, outcome["status"], outcome["note"]) == ("SUCCEEDED", "deployed", "")
    [request] = account.neo.jobs.values()
    assert request["OutputConfig"]["TargetPlatform"] == {"Os": "LINUX", "Arch": "X86_64"}
    (taken,) = load_manifest(PACKAGE).inputs
    assert json.loads(request["InputConfig"]["DataInputConfig"]) == {taken.name: list(taken.shape)}
    assert ended.states.count("LookAtCompile") == 3
    assert [job["ContainerArguments"][2:3] for job in account.jobs] == [["--source"], ["--compiled"]]
    verdict = account.get(f"releases/{outcome['release']}/evaluation.json")
    assert verdict["refusals"] == []
    assert account.versions("wave-2") == {NEW}
    with TemporaryDirectory() as work:
        package = deployed_package(Path(work))
        manifest = load_manifest(package)
        assert (manifest.format, manifest.model, manifest.version) == ("neo", "neo/compiled.so", NEW)
        approved = load_manifest(PACKAGE)
        made = manifest.provenance.compiled
        assert made is not None
        assert (made.target, made.source) == ("neo", approved.files[approved.model])
        assert (package / manifest.golden.file).read_bytes() == (PACKAGE / approved.golden.file).read_bytes()
        held = KmsKey(client("kms"), account.key, Caller())
        assert verify(package.parent, held.trusted())[0].digest != manifest_digest(PACKAGE)


def deployed_package(folder: Path) -> Path:
    """The package in the artefact that devices get."""
    key = f"{COMPONENT}/{NEW}/model.tar.gz"
    (folder / "m.tar.gz").write_bytes(client("s3").get_object(Bucket=COMPONENTS, Key=key)["Body"].read())
    unpack(folder / "m.tar.gz", folder / "place")
    return folder / "place" / "package"


def test_a_compiled_artefact_that_the_gate_refuses_reaches_no_device(account: Account) -> None:
    compiling(account)
    account.refusals = ["image AP 0.4100 is below 0.9"]
    ended, outcome = account.release()
    assert (ended.status, outcome["status"]) == ("FAILED", "refused")
    assert outcome["reason"] == "the gate refuses what Neo compiled: image AP 0.4100 is below 0.9"
    assert account.get(f"releases/{outcome['release']}/evaluation.json")["refusals"] == account.refusals
    assert by_hand(account, *RINGS)
    assert "Contents" not in client("s3").list_objects_v2(Bucket=COMPONENTS), "nothing was uploaded"
    assert f"releases/{outcome['release']}/{SIGNATURE_FILE}" not in account.keys("releases/"), "nothing was signed"


@pytest.mark.parametrize("ends", ["FAILED", "STOPPED"])
def test_a_compilation_that_fails_leaves_the_approved_model_and_says_so(account: Account, ends: str) -> None:
    compiling(account, ends=ends)
    ended, outcome = account.release()
    assert (ended.status, outcome["status"]) == ("SUCCEEDED", "deployed")
    assert ends in outcome["note"]
    assert "the approved model goes on as it is" in outcome["note"]
    with TemporaryDirectory() as work:
        assert manifest_digest(deployed_package(Path(work))) == manifest_digest(PACKAGE)


def test_a_compilation_that_hangs_is_given_up(account: Account) -> None:
    compiling(account)
    account.neo.takes = 10**6
    ended, outcome = account.release()
    assert (ended.status, outcome["status"]) == ("SUCCEEDED", "deployed")
    assert "INPROGRESS" in outcome["note"]
    assert ended.states.count("LookAtCompile") == 20


def test_a_changed_package_is_refused_before_it_is_compiled(account: Account) -> None:
    compiling(account)
    arn = account.register()
    account.put("packages/classifier.tar.gz", b"changed", MODELS)
    _, outcome = account.release(arn)
    assert outcome["status"] == "refused"
    assert "it was changed since" in outcome["reason"]
    assert account.neo.jobs == {}
