"""Inspector's configuration."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from linewatch_common.config import Config
from linewatch_common.errors import ConfigError
from linewatch_common.messages.fleet import HEALTH_SECONDS

FolderName = Annotated[str, msgspec.Meta(max_length=512)]


class InspectorConfig(Config, frozen=True, kw_only=True, rename="pascal"):
    """`deadline_ms` is the longest useful time from capture to verdict.

    `segment_when`: `not-pass` runs the segmenter when the classifier's score reaches the review threshold, `always` on every frame.
    An alert whose number is 0 is off; `camera_silent_seconds` 0 leaves only the camera's heartbeat to tell. `ledger_folder`
    holds ledger and store; empty is the component's work folder. `capture_percent` of all judged parts are drawn at random
    and given to the agent as captured data; `capture_not_pass` adds all that did not pass. `fleet_health_seconds` 0 sends
    no health report to AWS IoT Core.
    """

    deadline_ms: Annotated[int, msgspec.Meta(ge=20, le=60_000)] = 1000
    segment_when: Literal["always", "not-pass"] = "not-pass"
    queue_length: Annotated[int, msgspec.Meta(ge=4, le=4096)] = 64
    defects_in_a_row: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 5
    defect_rate_percent: Annotated[float, msgspec.Meta(ge=0.0, le=100.0)] = 20.0
    defect_rate_parts: Annotated[int, msgspec.Meta(ge=10, le=10_000)] = 100
    latency_budget_ms: Annotated[int, msgspec.Meta(ge=0, le=60_000)] = 150
    camera_silent_seconds: Annotated[float, msgspec.Meta(ge=0.0, le=86_400.0)] = 60.0
    disk_low_megabytes: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 200
    store_pictures: Literal["all", "not-pass", "none"] = "all"
    store_megabytes: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 1000
    store_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 30
    ledger_days: Annotated[int, msgspec.Meta(ge=1, le=36_500)] = 365
    capture_percent: Annotated[float, msgspec.Meta(ge=0.0, le=100.0)] = 0.0
    capture_not_pass: bool = False
    fleet_health_seconds: Annotated[float, msgspec.Meta(ge=0.0, le=86_400.0)] = HEALTH_SECONDS
    ledger_folder: FolderName = ""
    shared_memory_folder: FolderName = "/dev/shm"  # noqa: S108 - what the kernel offers for it


def check(config: InspectorConfig) -> None:
    """Raises ConfigError for a folder that is not an absolute path: the runtimes promise no current folder."""
    if config.ledger_folder and not Path(config.ledger_folder).is_absolute():
        raise ConfigError(f"LedgerFolder: {config.ledger_folder!r} is not an absolute path")
    if not Path(config.shared_memory_folder).is_absolute():
        raise ConfigError(f"SharedMemoryFolder: {config.shared_memory_folder!r} is not an absolute path")
