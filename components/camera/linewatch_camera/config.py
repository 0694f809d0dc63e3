"""The camera's configuration."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from linewatch_common.config import Config
from linewatch_common.errors import ConfigError

Text = Annotated[str, msgspec.Meta(max_length=900)]
Seconds = Annotated[float, msgspec.Meta(ge=0.1, le=120.0)]


class SourceConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Where pictures come from. `path` serves folder and video, `url` rtsp, `device` v4l2.

    `frames_per_second` is the rate of free running. A `limit` above 0 ends the source after so many frames of the ring.
    """

    kind: Literal["folder", "video", "v4l2", "rtsp"] = "folder"
    path: Text = ""
    url: Text = ""
    device: Text = "/dev/video0"
    loop: bool = False
    frames_per_second: Annotated[float, msgspec.Meta(gt=0.0, le=500.0)] = 5.0
    limit: Annotated[int, msgspec.Meta(ge=0, le=10**9)] = 0


class CameraConfig(Config, frozen=True, kw_only=True):
    """See docs/camera.md. The ring takes `slots` times `max_frame_megabytes` of `shared_memory_folder`, all of it at the start."""

    source: SourceConfig = SourceConfig()
    trigger_mode: Literal["free-run", "software"] = "free-run"
    slots: Annotated[int, msgspec.Meta(ge=8, le=1024)] = 32
    max_frame_megabytes: Annotated[int, msgspec.Meta(ge=1, le=512)] = 6
    shared_memory_folder: Text = "/dev/shm"  # noqa: S108 - the frame ring lives there by design, mode 0600
    open_timeout_seconds: Seconds = 5.0
    read_timeout_seconds: Seconds = 3.0

    @property
    def slot_bytes(self) -> int:
        """The largest picture that fits, in bytes."""
        return self.max_frame_megabytes * 1024 * 1024


def validate(config: CameraConfig) -> None:
    """What one value alone cannot tell. Raises ConfigError with one line."""
    if not Path(config.shared_memory_folder).is_absolute():
        raise ConfigError(f"SharedMemoryFolder: {config.shared_memory_folder!r} must be an absolute path")
    source = config.source
    needed = {"video": ("Path", source.path), "rtsp": ("Url", source.url), "v4l2": ("Device", source.device)}
    key, value = needed.get(source.kind, ("", "-"))
    if not value:
        raise ConfigError(f"Source: Kind {source.kind} needs {key}")
    if source.kind == "rtsp" and not source.url.startswith(("rtsp://", "rtsps://")):
        raise ConfigError("Source: Url must begin with rtsp:// or rtsps://")
