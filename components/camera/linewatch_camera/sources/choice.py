"""Which source the configuration asks for."""

from linewatch_camera.config import CameraConfig
from linewatch_camera.sources.folder import FolderSource
from linewatch_camera.sources.live import LiveSource
from linewatch_camera.sources.opencv import rtsp_opener, v4l2_opener, without_secrets
from linewatch_camera.sources.port import Source
from linewatch_camera.sources.video import VideoFileSource


def make_source(config: CameraConfig) -> Source:
    """The configured source, not started."""
    source, slot_bytes = config.source, config.slot_bytes
    match source.kind:
        case "folder":
            return FolderSource(source.path, loop=source.loop, slot_bytes=slot_bytes)
        case "video":
            return VideoFileSource(source.path, loop=source.loop, slot_bytes=slot_bytes)
        case "v4l2":
            opener = v4l2_opener(source.device, config.read_timeout_seconds)
            name = f"v4l2 {source.device}"
        case "rtsp":
            opener = rtsp_opener(source.url, config.open_timeout_seconds, config.read_timeout_seconds)
            name = f"rtsp {without_secrets(source.url)}"
    return LiveSource(name, opener, read_timeout=config.read_timeout_seconds, slot_bytes=slot_bytes)


def identity_of(config: CameraConfig) -> str:
    """What a source's cursor and count belong to: another place begins from its beginning, another rate or limit goes on."""
    source = config.source
    where = {"folder": source.path, "video": source.path, "v4l2": source.device, "rtsp": source.url}[source.kind]
    return f"{source.kind}\0{where}\0{source.loop}"
