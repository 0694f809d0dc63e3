"""Put the camera together and run it."""

import os
import sys
from pathlib import Path

import cv2
from linewatch_common.entry import component_main
from linewatch_common.heartbeats import HeartbeatWatch
from linewatch_common.ring import ring_path
from linewatch_common.service import Context, Service

from linewatch_camera.announcing import Announcer
from linewatch_camera.capture import Capture, CaptureSettings
from linewatch_camera.commands import CommandDesk
from linewatch_camera.component import NAME, Camera
from linewatch_camera.config import CameraConfig, validate
from linewatch_camera.gate import InspectorGate
from linewatch_camera.output import FrameOutput
from linewatch_camera.ring_keeper import RingKeeper, RingSettings
from linewatch_camera.selfcheck import selfcheck
from linewatch_camera.sources.choice import identity_of, make_source
from linewatch_camera.sources.port import Source


def build(config: CameraConfig, context: Context) -> Camera:
    """The camera of one configuration."""
    # Decoding one picture at a time; the cores belong to the models.
    cv2.setNumThreads(1)
    # What they warn of at each try, the sources say once, with the name of the file or stream.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    return compose(config, context, make_source(config))


def compose(config: CameraConfig, context: Context, source: Source) -> Camera:
    """The camera over a source."""
    bus, topics = context.bus, context.topics
    ring = RingKeeper(
        RingSettings(
            path=ring_path(Path(config.shared_memory_folder), config.station),
            slots=config.slots,
            slot_bytes=config.slot_bytes,
            source=identity_of(config),
            work=context.work,
        )
    )
    announcer = Announcer(bus)
    desk = CommandDesk(NAME, lambda result: announcer.announce(topics.command_results, result))
    watch = HeartbeatWatch()
    settings = CaptureSettings(
        station=config.station,
        software_trigger=config.trigger_mode == "software",
        frames_per_second=config.source.frames_per_second,
        limit=config.source.limit,
    )
    output = FrameOutput(ring, announcer, topics)
    capture = Capture(settings, source, output, desk, InspectorGate(watch, live=source.live))
    return Camera(
        bus,
        topics,
        source=source,
        output=output,
        desk=desk,
        watch=watch,
        announcer=announcer,
        capture=capture,
    )


def main(arguments: list[str]) -> int:
    """Run; returns the exit code."""
    return component_main(
        arguments,
        "linewatch's camera: pictures into the ring.",
        Service(NAME, CameraConfig, build, validate),
        selfcheck,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
