"""Component versions."""

import base64
import hashlib
import json
from typing import Any

from tests.fakes.greengrassv2.names import ACCOUNT, component_arn, missing, page
from tests.fakes.greengrassv2.state import ComponentVersion, State
from tests.fakes.greengrassv2.wire import RefusedError

MAX_RECIPE_BYTES = 16_000


class Components(State):
    """Operations on component versions."""

    def create_component_version(self, p: dict[str, Any]) -> dict[str, Any]:
        if known := self.again("CreateComponentVersion", p):
            return known
        if "inlineRecipe" not in p:
            raise RefusedError("ValidationException", "only inlineRecipe is simulated")
        recipe = _checked_recipe(p["inlineRecipe"])
        name, version = recipe["ComponentName"], recipe["ComponentVersion"]
        arn = component_arn(name, version)
        if arn in self.components:
            message = f"Component [{name} : {version}] for account [{ACCOUNT}] already exists with state: [DEPLOYABLE]"
            raise RefusedError("ConflictException", message, resourceId=arn, resourceType="COMPONENT")
        errors = {}
        for artifact in (each for manifest in recipe["Manifests"] for each in manifest.get("Artifacts", [])):
            content = b"" if self.artifact is None else self.artifact(artifact["Uri"])
            if content is None:
                errors[artifact["Uri"]] = "The artifact does not exist or the caller may not read it"
                continue
            artifact["Digest"] = base64.b64encode(hashlib.sha256(content).digest()).decode()
            artifact["Algorithm"] = "SHA-256"
        if (name, version) in self.undeployable:
            errors["recipe"] = "the recipe cannot be used"
        made = ComponentVersion(arn, recipe, self.clock(), p.get("tags", {}), errors, self.clock() + self.ready_after)
        self.components[arn] = made
        answer = {
            "arn": arn,
            "componentName": name,
            "componentVersion": version,
            "creationTimestamp": made.created,
            "status": self._state(made),
        }
        return self.remember("CreateComponentVersion", p, answer)

    def describe_component(self, p: dict[str, Any]) -> dict[str, Any]:
        found = self._component(p["arn"])
        answer = {
            "arn": found.arn,
            "componentName": found.recipe["ComponentName"],
            "componentVersion": found.recipe["ComponentVersion"],
            "creationTimestamp": found.created,
            "status": self._state(found),
        }
        return answer | ({"tags": found.tags} if found.tags else {})

    def get_component(self, p: dict[str, Any]) -> dict[str, Any]:
        found = self._component(p["arn"])
        return {"recipeOutputFormat": "JSON", "recipe": json.dumps(found.recipe).encode()}

    def list_components(self, p: dict[str, Any]) -> dict[str, Any]:
        newest = {each.recipe["ComponentName"]: each for each in self.components.values()}
        rows = [
            {
                "arn": each.arn.partition(":versions:")[0],
                "componentName": name,
                "latestVersion": {"arn": each.arn, "componentVersion": each.recipe["ComponentVersion"]},
            }
            for name, each in sorted(newest.items())
        ]
        return page(p, "components", rows if p.get("scope", "PRIVATE") == "PRIVATE" else [])

    def list_component_versions(self, p: dict[str, Any]) -> dict[str, Any]:
        rows = [
            {
                "componentName": each.recipe["ComponentName"],
                "componentVersion": each.recipe["ComponentVersion"],
                "arn": each.arn,
            }
            for each in self.components.values()
            if each.arn.startswith(f"{p['arn']}:versions:")
        ]
        if not rows:
            raise missing(p["arn"], "COMPONENT")
        return page(p, "componentVersions", rows)

    def delete_component(self, p: dict[str, Any]) -> dict[str, Any]:
        self._component(p["arn"])
        del self.components[p["arn"]]
        return {}

    def _component(self, arn: str) -> ComponentVersion:
        if arn not in self.components:
            raise missing(arn, "COMPONENT")
        return self.components[arn]

    def _state(self, found: ComponentVersion) -> dict[str, Any]:
        now = self.clock()
        if now < found.ready_at:
            state = "REQUESTED" if now < found.created + (found.ready_at - found.created) / 2 else "INITIATED"
        else:
            state = "FAILED" if found.errors else "DEPLOYABLE"
        errors = found.errors if state == "FAILED" else {}
        return {
            "componentState": state,
            "message": "NONE" if state != "FAILED" else "The component cannot be deployed",
            "errors": errors,
        }


def _checked_recipe(raw: bytes) -> dict[str, Any]:
    if len(raw) > MAX_RECIPE_BYTES:
        raise RefusedError(
            "ValidationException", f"the recipe has {len(raw)} bytes, at most {MAX_RECIPE_BYTES} are allowed"
        )
    try:
        recipe = json.loads(raw)
    except ValueError as error:
        raise RefusedError("ValidationException", f"the recipe cannot be read: {error}") from error
    for key in ("RecipeFormatVersion", "ComponentName", "ComponentVersion", "Manifests"):
        if key not in recipe:
            raise RefusedError("ValidationException", f"the recipe has no {key}")
    if recipe["RecipeFormatVersion"] != "2020-01-25":
        raise RefusedError("ValidationException", "RecipeFormatVersion must be 2020-01-25")
    for manifest in recipe["Manifests"]:
        for artifact in manifest.get("Artifacts", []):
            if not artifact.get("Uri", "").startswith("s3://"):
                raise RefusedError("ValidationException", f"artifact {artifact.get('Uri')!r} is not an S3 URI")
    result: dict[str, Any] = recipe
    return result
