"""One built component to a DEPLOYABLE component version."""

import base64
import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

import msgspec
from linewatch_common.backoff import Backoff

from model_build.fleet.calls import Caller
from model_build.fleet.errors import CloudUnavailableError, ConflictError, FleetError
from model_build.publishing.built import Artifact, BuiltComponent
from model_build.publishing.upload import Uploader

CONTENT_TAG = "linewatch:content"
# Greengrass reads and hashes the artefacts meanwhile; hundreds of megabytes take it some minutes.
DEPLOYABLE_SECONDS = 600.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 15.0
_ADDED_BY_GREENGRASS = ("Digest", "Algorithm")


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a component. `action`: published, unchanged, would publish."""

    name: str
    version: str
    action: str
    arn: str = ""
    uploaded: list[str] = []
    bytes: int = 0


class Publisher:
    """`sleep` and `monotonic` are a test's way to shorten the wait."""

    def __init__(
        self,
        greengrass: Any,
        s3: Any,
        bucket: str,
        caller: Caller,
        *,
        timeout: float = DEPLOYABLE_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._greengrass = greengrass
        self._bucket = bucket
        self._call = caller
        self._uploader = Uploader(s3, bucket, caller, on_bytes)
        self._timeout = timeout
        self._sleep = sleep
        self._monotonic = monotonic

    def publish(self, component: BuiltComponent) -> Published:
        """Upload, create, wait for DEPLOYABLE. The same content again changes nothing; other content under the same version is refused.

        Raises ConflictError, FleetError (the version became FAILED), CloudUnavailableError (it did not become DEPLOYABLE in time).
        """
        arn = self._arn(component)
        found = self._found(arn)
        attempt = ""
        if found is not None:
            self._check_same(component, arn, found)
            if found["status"]["componentState"] == "FAILED":
                attempt = str(found["creationTimestamp"])
                self._call(self._greengrass, "delete_component", arn=arn)
            else:
                self._wait(component, arn)
                return Published(name=component.name, version=component.version, action="unchanged", arn=arn)
        uploaded = [artifact for artifact in component.artifacts if self._uploader.upload(artifact)]
        made = self._call(self._greengrass, "create_component_version", **request(component, attempt))
        self._wait(component, made["arn"])
        return _outcome(component, "published", made["arn"], uploaded)

    def planned(self, component: BuiltComponent) -> tuple[Published, list[dict[str, Any]]]:
        """What `publish` would do, and the calls that it would make; reads only. Raises ConflictError."""
        arn = self._arn(component)
        found = self._found(arn)
        if found is not None:
            self._check_same(component, arn, found)
            if found["status"]["componentState"] != "FAILED":
                return Published(name=component.name, version=component.version, action="unchanged", arn=arn), []
        missing = [artifact for artifact in component.artifacts if self._uploader.missing(artifact)]
        calls: list[dict[str, Any]] = [
            {"service": "s3", "operation": "put_object", "parameters": {"Bucket": self._bucket, "Key": artifact.key}}
            for artifact in missing
        ]
        parameters = request(component, "")
        parameters["inlineRecipe"] = json.loads(parameters["inlineRecipe"])
        calls.append({"service": "greengrassv2", "operation": "create_component_version", "parameters": parameters})
        return _outcome(component, "would publish", arn, missing), calls

    def _arn(self, component: BuiltComponent) -> str:
        """The version's ARN, "" when this account has no version of the component."""
        rows = self._call.pages(self._greengrass, "list_components", "components", scope="PRIVATE", maxResults=100)
        arn = next((str(row["arn"]) for row in rows if row["componentName"] == component.name), "")
        return f"{arn}:versions:{component.version}" if arn else ""

    def _found(self, arn: str) -> dict[str, Any] | None:
        if not arn:
            return None
        versions = self._call.pages(
            self._greengrass,
            "list_component_versions",
            "componentVersions",
            arn=arn.rpartition(":versions:")[0],
            maxResults=100,
        )
        if arn not in {row["arn"] for row in versions}:
            return None
        answer: dict[str, Any] = self._call(self._greengrass, "describe_component", arn=arn)
        return answer

    def _check_same(self, component: BuiltComponent, arn: str, found: dict[str, Any]) -> None:
        tagged = found.get("tags", {}).get(CONTENT_TAG, "")
        if tagged == component.content or (not tagged and self._same_recipe(component, arn)):
            return
        raise ConflictError(
            f"{component.name} {component.version} is published already with other content: a version never changes; "
            "raise ComponentVersion and build again"
        )

    def _same_recipe(self, component: BuiltComponent, arn: str) -> bool:
        """Of a version that was not published by us: recipe and artefacts' digests as Greengrass computed them."""
        answer = self._call(self._greengrass, "get_component", arn=arn, recipeOutputFormat="JSON")
        stored, ours = json.loads(answer["recipe"]), json.loads(component.recipe)
        digests = {entry.get("Uri"): entry.get("Digest") for entry in _artifacts(stored)}
        for entry in _artifacts(stored):
            for name in _ADDED_BY_GREENGRASS:
                entry.pop(name, None)
        wanted = {f"s3://{self._bucket}/{artifact.key}": _base64(artifact.sha256) for artifact in component.artifacts}
        return bool(stored == ours and digests == wanted)

    def _wait(self, component: BuiltComponent, arn: str) -> None:
        backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        start = self._monotonic()
        while True:
            status = self._call(self._greengrass, "describe_component", arn=arn)["status"]
            state = status["componentState"]
            if state == "DEPLOYABLE":
                return
            if state == "FAILED":
                errors = "; ".join(f"{what}: {why}" for what, why in sorted(status.get("errors", {}).items()))
                raise FleetError(
                    f"{component.name} {component.version} is FAILED: {errors or status.get('message', '')}"
                )
            if self._monotonic() - start > self._timeout:
                raise CloudUnavailableError(
                    f"{component.name} {component.version} is still {state} after {self._timeout:.0f} s: the same command waits on"
                )
            self._sleep(backoff.pause())


def request(component: BuiltComponent, attempt: str) -> dict[str, Any]:
    """CreateComponentVersion's parameters; the same content has the same client token, unless an earlier attempt FAILED."""
    token = hashlib.sha256(f"{component.content}{attempt}".encode()).hexdigest()[:32]
    return {"inlineRecipe": component.recipe, "tags": {CONTENT_TAG: component.content}, "clientToken": token}


def _outcome(component: BuiltComponent, action: str, arn: str, uploaded: list[Artifact]) -> Published:
    return Published(
        name=component.name,
        version=component.version,
        action=action,
        arn=arn,
        uploaded=[artifact.key for artifact in uploaded],
        bytes=sum(artifact.size for artifact in uploaded),
    )


def _artifacts(recipe: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry for manifest in recipe.get("Manifests", []) for entry in manifest.get("Artifacts", [])]


def _base64(digest: str) -> str:

    return base64.b64encode(bytes.fromhex(digest)).decode()
