"""Publishing to a real S3 server and the greengrassv2 fake: once, never over another version, and on after an interruption."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from model_build.__main__ import main
from model_build.fleet.calls import Caller
from model_build.fleet.errors import CloudUnavailableError, ConflictError, FleetError, FleetInputError
from model_build.publishing.built import BuiltComponent, read_built
from model_build.publishing.publisher import Publisher
from model_build.publishing.upload import PART_BYTES
from tests.fakes.greengrassv2.backend import Backend
from tests.fakes.greengrassv2.server import Server, serving
from tests.fakes.greengrassv2.state import SimulatedClock
from tests.integration.fleet.conftest import BUCKET, set_environment
from tests.integration.fleet.plant import Plant

NAME = "com.linewatch.Inspector"


def _build(folder: Path, content: bytes, version: str = "1.0.0", name: str = NAME) -> Path:
    file = folder / "artifacts" / name / version / "part.zip"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    (folder / "recipes").mkdir(exist_ok=True)
    recipe = {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": name,
        "ComponentVersion": version,
        "Manifests": [
            {"Platform": {"os": "linux"}, "Artifacts": [{"Uri": f"s3://BUCKET_NAME/{name}/{version}/part.zip"}]}
        ],
    }
    (folder / "recipes" / f"{name}-{version}.json").write_text(json.dumps(recipe))
    return folder


@pytest.fixture
def server(s3: Any) -> Iterator[Server]:
    def artifact(uri: str) -> bytes | None:
        key = uri.removeprefix(f"s3://{BUCKET}/")
        try:
            return bytes(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
        except s3.exceptions.NoSuchKey:
            return None

    with serving(Backend(artifact=artifact)) as running:
        yield running


@pytest.fixture
def environment(server: Server, s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, server.url, s3_url)


class Desk:
    """A publisher whose waiting moves the fake's clock."""

    def __init__(self, server: Server, s3: Any, folder: Path) -> None:
        self.backend = server.backend
        self.plant = Plant(server, folder)
        self.s3 = s3
        self.waited = 0.0

    def sleep(self, seconds: float) -> None:
        assert isinstance(self.backend.clock, SimulatedClock)
        self.backend.clock.advance(seconds)
        self.waited += seconds

    def publisher(self) -> Publisher:
        return Publisher(
            self.plant.greengrass,
            self.s3,
            BUCKET,
            Caller(sleep=self.sleep),
            sleep=self.sleep,
            monotonic=lambda: self.waited,
        )

    def publish(self, folder: Path) -> str:
        return self.publisher().publish(_only(folder)).action


def _only(folder: Path) -> BuiltComponent:
    [component] = read_built(folder, BUCKET)
    return component


@pytest.fixture
def desk(server: Server, s3: Any, tmp_path: Path) -> Desk:
    return Desk(server, s3, tmp_path)


def test_a_component_is_published_once_and_the_cloud_knows_its_digest(desk: Desk, tmp_path: Path) -> None:
    folder = _build(tmp_path / "build", b"content")
    published = desk.publisher().publish(_only(folder))
    assert (published.action, published.uploaded) == ("published", [f"{NAME}/1.0.0/part.zip"])
    stored = json.loads(desk.plant.greengrass.get_component(arn=published.arn)["recipe"])
    assert stored["Manifests"][0]["Artifacts"][0]["Uri"] == f"s3://{BUCKET}/{NAME}/1.0.0/part.zip"
    before = desk.backend.counts.copy()
    assert desk.publish(folder) == "unchanged"
    assert desk.backend.counts["CreateComponentVersion"] == before["CreateComponentVersion"] == 1


def test_a_version_that_somebody_else_published_is_compared_by_recipe_and_digests(desk: Desk, tmp_path: Path) -> None:
    folder = _build(tmp_path / "build", b"content")
    component = _only(folder)
    desk.s3.put_object(Bucket=BUCKET, Key=component.artifacts[0].key, Body=b"content")
    desk.plant.greengrass.create_component_version(inlineRecipe=component.recipe)
    assert desk.publish(folder) == "unchanged"
    with pytest.raises(ConflictError, match=r"published already with other content"):
        desk.publish(_build(tmp_path / "build", b"another"))


def test_a_version_with_other_bytes_is_refused_before_anything_is_sent(desk: Desk, tmp_path: Path) -> None:
    desk.publish(_build(tmp_path / "build", b"content"))
    with pytest.raises(ConflictError, match=rf"{NAME} 1\.0\.0 is published already with other content"):
        desk.publish(_build(tmp_path / "build", b"other"))
    assert desk.s3.get_object(Bucket=BUCKET, Key=f"{NAME}/1.0.0/part.zip")["Body"].read() == b"content"


def test_other_bytes_at_the_artefacts_key_are_not_overwritten(desk: Desk, tmp_path: Path) -> None:
    desk.s3.put_object(Bucket=BUCKET, Key=f"{NAME}/1.0.0/part.zip", Body=b"somebody's")
    with pytest.raises(ConflictError, match="exists with other bytes"):
        desk.publish(_build(tmp_path / "build", b"content"))
    assert desk.s3.get_object(Bucket=BUCKET, Key=f"{NAME}/1.0.0/part.zip")["Body"].read() == b"somebody's"
    assert not desk.backend.components


def test_an_interrupted_upload_goes_on_with_the_parts_that_arrived(desk: Desk, tmp_path: Path) -> None:
    content = bytes(range(256)) * (2 * PART_BYTES // 256) + b"the end"
    folder = _build(tmp_path / "build", content)
    sent: list[int] = []
    cut = [True]

    def pull_the_cable(params: dict[str, Any], **_: Any) -> None:
        if params["PartNumber"] == 3 and cut[0]:
            raise EndpointConnectionError(endpoint_url="s3")
        sent.append(params["PartNumber"])

    desk.s3.meta.events.register("provide-client-params.s3.UploadPart", pull_the_cable)
    with pytest.raises(CloudUnavailableError, match=r"upload_part.*run the same command again"):
        desk.publish(folder)
    assert not desk.backend.components
    cut[0] = False
    assert desk.publish(folder) == "published"
    assert sent == [1, 2, 3]
    assert desk.s3.get_object(Bucket=BUCKET, Key=f"{NAME}/1.0.0/part.zip")["Body"].read() == content


def test_parts_of_an_older_build_are_not_mixed_in(desk: Desk, tmp_path: Path) -> None:
    def pull_the_cable(params: dict[str, Any], **_: Any) -> None:
        if params["PartNumber"] == 2:
            raise EndpointConnectionError(endpoint_url="s3")

    desk.s3.meta.events.register("provide-client-params.s3.UploadPart", pull_the_cable, unique_id="cut")
    with pytest.raises(CloudUnavailableError):
        desk.publish(_build(tmp_path / "build", b"a" * PART_BYTES + b"old"))
    desk.s3.meta.events.unregister("provide-client-params.s3.UploadPart", unique_id="cut")
    assert desk.publish(_build(tmp_path / "build", b"a" * PART_BYTES + b"new")) == "published"
    found = desk.s3.get_object(Bucket=BUCKET, Key=f"{NAME}/1.0.0/part.zip")
    assert found["Body"].read()[-3:] == b"new"
    assert found["Metadata"]["sha256"] == _only(tmp_path / "build").artifacts[0].sha256


def test_a_version_that_fails_says_why_and_is_made_anew_by_the_next_try(desk: Desk, tmp_path: Path) -> None:
    folder = _build(tmp_path / "build", b"content")
    desk.backend.undeployable.add((NAME, "1.0.0"))
    with pytest.raises(FleetError, match=rf"{NAME} 1\.0\.0 is FAILED: recipe: the recipe cannot be used"):
        desk.publish(folder)
    desk.backend.undeployable.clear()
    assert desk.publish(folder) == "published"


def test_a_version_that_does_not_become_deployable_is_given_up_in_time(desk: Desk, tmp_path: Path) -> None:
    folder = _build(tmp_path / "build", b"content")
    desk.backend.ready_after *= 1000
    with pytest.raises(CloudUnavailableError, match=r"still (REQUESTED|INITIATED) after 600 s"):
        desk.publish(folder)
    assert 600 < desk.waited < 700


def test_throttling_is_waited_for_and_given_up_in_the_end(desk: Desk, tmp_path: Path) -> None:
    folder = _build(tmp_path / "build", b"content")
    desk.backend.throttle("CreateComponentVersion", 3)
    assert desk.publish(folder) == "published"
    desk.backend.throttle("ListComponents", 10_000)
    with pytest.raises(CloudUnavailableError, match=r"list_components: ThrottlingException.*given up after 1\d\d s"):
        desk.publish(folder)


def test_what_is_missing_in_the_build_is_named(tmp_path: Path) -> None:
    with pytest.raises(FleetInputError, match="make build"):
        read_built(tmp_path, BUCKET)
    folder = _build(tmp_path, b"x")
    with pytest.raises(FleetInputError, match=r"no component com\.example\.None; there are com\.linewatch\.Inspector"):
        read_built(folder, BUCKET, ["com.example.None"])
    (folder / "artifacts" / NAME / "1.0.0" / "part.zip").unlink()
    with pytest.raises(FleetInputError, match=r"part\.zip is missing"):
        read_built(folder, BUCKET)


def test_the_command_prints_the_exact_calls_and_then_makes_them(
    server: Server, environment: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.backend.ready_after *= 0
    command = ["publish", str(_build(tmp_path / "build", b"content")), "--bucket", BUCKET]
    assert main([*command, "--dry-run", "--json"]) == 0
    [planned] = json.loads(capsys.readouterr().out)
    assert [call["operation"] for call in planned["calls"]] == ["put_object", "create_component_version"]
    assert not server.backend.components
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["action"] == "published"
    assert main(command) == 0
    assert "unchanged" in capsys.readouterr().out
