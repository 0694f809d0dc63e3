"""What the core remembers over a restart: roots, placed versions, deployments."""

import enum
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from linewatch_common.errors import CorruptStateError
from linewatch_common.files import write_atomically

_SCHEMA = 1
_KEPT_DEPLOYMENTS = 100


class Placement(enum.StrEnum):
    """What a reboot does with a placed version."""

    ACTIVE = "active"  # comes back
    PENDING = "pending"  # installed by a deployment that failed before it could start: lite does not start it
    BROKEN = "broken"  # its install failed


@dataclass(slots=True)
class Placed:
    """A component version on this core."""

    version: str
    placement: Placement


@dataclass(slots=True)
class DeploymentRecord:
    """A deployment as its status is told."""

    deployment_id: str
    created_on: str
    status: str = "QUEUED"
    detailed_status: str = ""
    error_types: list[str] = field(default_factory=list)
    cause: str = ""


@dataclass(slots=True)
class CoreState:
    """All of it."""

    like: str
    roots: dict[str, str] = field(default_factory=dict)
    placed: dict[str, Placed] = field(default_factory=dict)
    deployments: list[DeploymentRecord] = field(default_factory=list)

    def trim(self) -> None:
        """Forget the oldest deployments."""
        del self.deployments[:-_KEPT_DEPLOYMENTS]


def save_json(path: Path, value: object) -> None:
    """Write JSON atomically. Raises StorageError."""
    write_atomically(path, json.dumps(value, indent=1).encode())


def load_json(path: Path) -> Any:
    """A JSON file, None when it is not there. Raises CorruptStateError."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise CorruptStateError(f"{path}: cannot be read: {error}; remove the root to start anew") from error


def save_state(path: Path, state: CoreState) -> None:
    """Raises StorageError."""
    save_json(path, {"schema": _SCHEMA, **asdict(state)})


def load_state(path: Path, like: str) -> CoreState:
    """The remembered state, or a new one. Raises CorruptStateError."""
    stored = load_json(path)
    if stored is None:
        return CoreState(like)
    try:
        if stored["schema"] != _SCHEMA:
            raise CorruptStateError(
                f"{path}: schema {stored['schema']} is not {_SCHEMA}; remove the root to start anew"
            )
        placed = {
            name: Placed(item["version"], Placement(item["placement"])) for name, item in stored["placed"].items()
        }
        deployments = [DeploymentRecord(**item) for item in stored["deployments"]]
        return CoreState(stored["like"], dict(stored["roots"]), placed, deployments)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptStateError(f"{path}: not a core's state: {error!r}; remove the root to start anew") from error
