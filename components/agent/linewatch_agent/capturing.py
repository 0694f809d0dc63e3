"""Captured data, put together from the configuration."""

import logging
from pathlib import Path

from linewatch_agent.captures import Captures, CaptureSettings
from linewatch_agent.captures.cloud import CloudDestination, DeviceCertificate, ObjectStore
from linewatch_agent.captures.disk import CaptureDisk
from linewatch_agent.captures.finished import FinishedCaptures
from linewatch_agent.captures.lines import Origin
from linewatch_agent.captures.periodic import PeriodicUpload
from linewatch_agent.captures.pushes import Destination
from linewatch_agent.captures.segments import FileShelf, MemoryShelf
from linewatch_agent.captures.spool import Spool, SpoolSettings
from linewatch_agent.captures.streams import SPARE_MESSAGES, MissingDestination, StreamDestination, StreamSettings
from linewatch_agent.config import AgentConfig, check_prefix
from linewatch_agent.counters import Counters

log = logging.getLogger(__name__)

MEGABYTE = 1_000_000
DAY_SECONDS = 86_400.0
THING_NAME = "THING_NAME"


def build_captures(config: AgentConfig, device: str, folder: Path, counters: Counters) -> Captures:
    """`folder` is the work folder, where captured data and the spool lie by default. Raises ConfigError."""
    prefix = prefix_of(config.folder_prefix, device)
    limit_bytes, limit_seconds = config.capture_disk_mb * MEGABYTE, config.capture_max_age_days * DAY_SECONDS
    disk = CaptureDisk(
        Path(config.capture_data_disk_path or folder / "capture"),
        f"{prefix}/{config.device_fleet_name}",
        limit_bytes,
        limit_seconds,
        lambda count: counters.add("captures_dropped", count),
    )
    spool_settings = SpoolSettings(
        origin=Origin(config.device_fleet_name, device),
        prefix=prefix,
        embed_limit=config.capture_data_base64_embed_limit,
        limit_bytes=limit_bytes,
        limit_seconds=limit_seconds,
    )
    settings = CaptureSettings(
        buffer_size=config.capture_data_buffer_size,
        buffer_bytes=config.capture_buffer_mb * MEGABYTE,
        batch_size=config.capture_data_batch_size,
        period=config.capture_data_push_period_seconds,
    )
    spool_folder = _spool_folder(config, folder)
    shelf = FileShelf(spool_folder) if config.capture_spool else MemoryShelf()
    finished = FinishedCaptures(spool_folder / "finished" if config.capture_spool else None)
    spool = Spool(shelf, spool_settings)
    if config.destination == "Cloud":
        return Captures(spool, finished, CloudDestination(_store(config)), settings, counters)
    if config.destination == "StreamManager":
        return Captures(spool, finished, _stream(config), settings, counters)
    upload = None
    if config.capture_data_periodic_upload:
        period = config.capture_data_periodic_upload_period_seconds
        upload = PeriodicUpload(disk, _store(config), period, counters)
    return Captures(spool, finished, disk, settings, counters, upload=upload)


def prefix_of(folder_prefix: str, device: str) -> str:
    """`folder_prefix` without slashes around it. The folder THING_NAME stands for the device's own name: one deployment configures a
    group, and S3 admits each to its own. Raises ConfigError for a name in a file of the original's form that is none for a folder.
    """
    prefix = "/".join(device if part == THING_NAME else part for part in folder_prefix.split("/") if part)
    check_prefix(prefix)
    return prefix


def _store(config: AgentConfig) -> ObjectStore:
    from linewatch_agent.captures.s3 import S3Store  # noqa: PLC0415 - boto3 takes a second and 30 MB of whoever needs it

    certificate = None
    if config.iot_credential_endpoint:
        certificate = DeviceCertificate(
            endpoint=config.iot_credential_endpoint,
            ca_file=config.certificate_authority_file,
            certificate_file=config.certificate_file,
            key_file=config.private_key_file,
            thing=config.iot_thing_name,
        )
    return S3Store(config.bucket_name, config.region, certificate)


def _stream(config: AgentConfig) -> Destination:
    settings = StreamSettings(
        name=config.stream_name,
        max_bytes=config.stream_max_mb * MEGABYTE,
        overwrites=config.stream_strategy_on_full == "OverwriteOldestData",
        kinesis=config.kinesis_stream_name,
    )
    try:
        from linewatch_agent.captures.stream_manager import StreamManagerStream  # noqa: PLC0415 - an extra
    except ImportError:
        missing = MissingDestination(
            "CaptureDataDestination: StreamManager needs the extra 'stream-manager', which is not part of the artefact; "
            "install it as docs/agent.md says"
        )
        log.error("%s", missing.missing)  # noqa: TRY400 - the line says it all
        return missing
    # Whatever a push under way at the last kill had appended is among these.
    return StreamDestination(StreamManagerStream(settings), config.capture_data_buffer_size + SPARE_MESSAGES)


def _spool_folder(config: AgentConfig, folder: Path) -> Path:
    """Beside the captured data where a folder for that is given: the work folder may not be one for data."""
    if config.capture_spool_path:
        return Path(config.capture_spool_path)
    if config.destination == "Disk" and config.capture_data_disk_path:
        return Path(config.capture_data_disk_path, ".linewatch-spool")
    return folder / "capture-spool"
