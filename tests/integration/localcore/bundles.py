"""Small bundles of shell components, and an awsiot client in a component's place."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from awsiot.greengrasscoreipc import connect
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2

from localcore.client import Deployment
from localcore.testing import RunningCore, wait_until

# The run step of most components: it leaves its token, then waits.
WAIT = 'echo "$SVCUID" > token.new; mv token.new token; exec sleep 1000'

ACCESS = {
    "aws.greengrass.ipc.pubsub": {"test": {"operations": ["*"], "resources": ["lab/*"]}},
    "aws.greengrass.ipc.mqttproxy": {"test": {"operations": ["*"], "resources": ["fleet/#"]}},
}


@dataclass(frozen=True)
class Bundle:
    """Folders for a local deployment."""

    folder: Path

    @property
    def recipes(self) -> Path:
        return self.folder / "recipes"

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts"

    def add(
        self,
        name: str,
        version: str = "1.0.0",
        *,
        run: str | dict[str, Any] | None = WAIT,
        install: str | dict[str, Any] | None = None,
        configuration: Mapping[str, Any] | None = None,
        dependencies: Mapping[str, Any] | None = None,
        files: Mapping[str, bytes] | None = None,
        unarchive: str = "NONE",
    ) -> None:
        """Write a recipe and its artefacts."""
        lifecycle = {step: script for step, script in (("install", install), ("run", run)) if script is not None}
        recipe = {
            "RecipeFormatVersion": "2020-01-25",
            "ComponentName": name,
            "ComponentVersion": version,
            "ComponentConfiguration": {"DefaultConfiguration": {"accessControl": ACCESS, **(configuration or {})}},
            "ComponentDependencies": dict(dependencies or {}),
            "Manifests": [
                {
                    "Platform": {"os": "linux", "runtime": "*"},
                    "Lifecycle": lifecycle,
                    "Artifacts": [{"Uri": f"s3://b/{file}", "Unarchive": unarchive} for file in files or {}],
                }
            ],
        }
        self.recipes.mkdir(parents=True, exist_ok=True)
        (self.recipes / f"{name}-{version}.json").write_text(json.dumps(recipe))
        folder = self.artifacts / name / version
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in (files or {}).items():
            (folder / file).write_bytes(content)

    def deploy(self, core: RunningCore, *roots: str, **options: Any) -> Deployment:
        """Deploy roots given as NAME or NAME=VERSION, and wait for the end."""
        merge = {name: version or "1.0.0" for name, _, version in (root.partition("=") for root in roots)}
        deployment = core.client.deploy(recipes=self.recipes, artifacts=self.artifacts, merge=merge, **options)
        return core.client.wait(deployment, timeout_s=60)


def soft(requirement: str = ">=1.0.0 <2.0.0") -> dict[str, str]:
    return {"VersionRequirement": requirement, "DependencyType": "SOFT"}


def hard(requirement: str = ">=1.0.0 <2.0.0") -> dict[str, str]:
    return {"VersionRequirement": requirement, "DependencyType": "HARD"}


def token_of(core: RunningCore, name: str) -> str:
    """The token of the component's run step."""
    path = core.layout.work(name) / "token"
    wait_until(path.exists, what=f"{path}")
    return path.read_text().strip()


@contextlib.contextmanager
def connected(core: RunningCore, token: str) -> Iterator[GreengrassCoreIPCClientV2]:
    """An awsiot client with this token."""
    client = GreengrassCoreIPCClientV2(client=connect(ipc_socket=str(core.layout.socket), authtoken=token))
    try:
        yield client
    finally:
        with contextlib.suppress(Exception):
            client.close().result(10)


def state_of(core: RunningCore, name: str) -> str:
    return core.client.component(name).state


def wait_state(core: RunningCore, name: str, state: str) -> None:
    wait_until(lambda: state_of(core, name) == state, what=f"{name} {state}")


def wait_pid(core: RunningCore, name: str, old: int | None = None) -> int:
    """The pid of the component's run step, once it is another than `old`."""
    found: list[int] = []

    def another() -> bool:
        component = core.client.component(name)
        found[:] = [pid for pid in component.pids if pid != old]
        return component.state == "RUNNING" and bool(found)

    wait_until(another, what=f"a new process of {name}")
    return found[0]


def is_alive(pid: int) -> bool:
    """Whether the process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
