"""The agent's configuration."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from linewatch_common.config import Config
from linewatch_common.errors import ConfigError
from linewatch_common.windows import Schedule, Window, zone_of
from msgspec import Meta

from linewatch_agent.keys import read_keys
from linewatch_agent.sockets import check_group, check_length

NAME_63 = r"^[a-zA-Z0-9](-*_*[a-zA-Z0-9])*$"
STREAM_PATTERN = r"^[\w ,.-]*$"
BUCKET_PATTERN = r"^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$"

AbsolutePath = Annotated[str, Meta(pattern=r"^/")]
# A model of Lookout's interface: its packages' folders, or "role:classifier" and "role:segmenter".
ComponentName = Annotated[str, Meta(min_length=1, max_length=128)]
LookoutSources = Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(min_length=1, max_length=2)]
# Greengrass lite keeps a list as one text of at most 1022 bytes: six P-256 keys in base64.
PublicKeyText = Annotated[str, Meta(min_length=1, max_length=400)]
Megabytes = Annotated[int, Meta(ge=1, le=1_048_576)]


class AgentConfig(Config, frozen=True, kw_only=True):
    """Keys that the original's Greengrass component had keep its names and meanings; the rest is ours. docs/agent.md explains each."""

    without_meaning = frozenset(
        {"LocalDataRootPath", "DbEnable", "DeploymentEnable", "DeploymentPollInterval", "DLRBackendOptions"}
    )

    # Serving.
    unix_socket_name: str = ""
    unix_socket_mode: Annotated[str, Meta(pattern=r"^0?[0-7]{3}$")] = "0660"
    unix_socket_group: str = ""
    lookout_socket: str = ""
    lookout_models: Annotated[dict[ComponentName, LookoutSources], Meta(max_length=64)] = {}  # noqa: RUF012 - likewise
    metrics_port: Annotated[int, Meta(ge=0, le=65_535)] = 0
    # Models.
    allowed_roots: Annotated[list[AbsolutePath], Meta(max_length=16)] = []  # noqa: RUF012 - msgspec copies mutable defaults
    memory_budget_mb: Megabytes = msgspec.field(default=1024, name="MemoryBudgetMB")
    inference_threads: Annotated[int, Meta(ge=0, le=256)] = 0
    onnx_backend: Literal["openvino", "onnxruntime"] = "openvino"
    golden_latency_budget_ms: Annotated[int, Meta(ge=1, le=60_000)] = 1000
    trusted_keys: Annotated[list[PublicKeyText], Meta(max_length=6)] = []  # noqa: RUF012 - likewise
    require_signature: bool = False
    withdrawal_minutes: Annotated[float, Meta(gt=0, le=10_080)] = 30
    # When a model may replace another one; none: at any time. Greengrass lite keeps the list as one text of at most 1022 bytes.
    maintenance_windows: Annotated[list[Window], Meta(max_length=8)] = []  # noqa: RUF012 - likewise
    maintenance_time_zone: Annotated[str, Meta(min_length=1, max_length=64)] = "UTC"
    # Captured data.
    device_fleet_name: Annotated[str, Meta(pattern=NAME_63, max_length=63)] = "linewatch"
    capture_data_destination: Literal["", "Disk", "Cloud", "StreamManager"] = ""
    capture_data_disk_path: str = ""
    folder_prefix: Annotated[str, Meta(max_length=512)] = "sme-capture"
    capture_data_buffer_size: Annotated[int, Meta(ge=1, le=10_000)] = 30
    capture_data_batch_size: Annotated[int, Meta(ge=1, le=10_000)] = 10
    capture_data_push_period_seconds: Annotated[int, Meta(ge=1, le=86_400)] = 4
    capture_data_base64_embed_limit: Annotated[int, Meta(ge=0, le=3072)] = 3072
    capture_data_periodic_upload: bool = False
    capture_data_periodic_upload_period_seconds: Annotated[int, Meta(ge=1, le=86_400)] = 8
    bucket_name: Annotated[str, Meta(pattern=BUCKET_PATTERN)] = ""
    region: Annotated[str, Meta(pattern=r"^[a-z0-9-]*$", max_length=63)] = ""
    capture_buffer_mb: Megabytes = msgspec.field(default=128, name="CaptureBufferMB")
    capture_disk_mb: Megabytes = msgspec.field(default=1024, name="CaptureDiskMB")
    capture_max_age_days: Annotated[int, Meta(ge=1, le=3650)] = 30
    capture_spool: bool = True
    capture_spool_path: str = ""
    # Greengrass Stream Manager.
    stream_name: Annotated[str, Meta(pattern=STREAM_PATTERN, min_length=1, max_length=200)] = "linewatch-captures"
    stream_max_mb: Megabytes = msgspec.field(default=256, name="StreamMaxMB")
    stream_strategy_on_full: Literal["RejectNewData", "OverwriteOldestData"] = "RejectNewData"
    kinesis_stream_name: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_.-]*$", max_length=128)] = ""
    # Credentials by a device certificate; without one, Greengrass's token exchange.
    iot_credential_endpoint: Annotated[str, Meta(pattern=r"^(https://\S+)?$", max_length=1023)] = ""
    iot_thing_name: Annotated[str, Meta(max_length=128)] = ""
    certificate_authority_file: str = ""
    certificate_file: str = ""
    private_key_file: str = ""
    # Logging.
    sagemaker_edge_log_verbose: bool = False

    @property
    def destination(self) -> str:
        """Disk, Cloud or StreamManager; without a word on it S3 where a bucket is named, as the original's component did."""
        return self.capture_data_destination or ("Cloud" if self.bucket_name else "Disk")

    @property
    def sends_captures(self) -> bool:
        """Whether captured data goes to S3, at once or later."""
        return self.destination == "Cloud" or self.capture_data_periodic_upload


def schedule_of(config: AgentConfig) -> Schedule:
    """The device's own maintenance windows. Raises ConfigError."""
    try:
        return Schedule(config.maintenance_windows, zone_of(config.maintenance_time_zone))
    except ConfigError as error:
        raise ConfigError(f"MaintenanceTimeZone: {error}") from error


def validate(config: AgentConfig) -> None:
    """What one key's bounds cannot say. Raises ConfigError."""
    if config.capture_data_batch_size >= config.capture_data_buffer_size:
        raise ConfigError(
            f"CaptureDataBatchSize: {config.capture_data_batch_size} must be less than CaptureDataBufferSize "
            f"({config.capture_data_buffer_size}); half of it or less works best"
        )
    for key, path in (
        ("UnixSocketName", config.unix_socket_name),
        ("LookoutSocket", config.lookout_socket),
        ("CaptureDataDiskPath", config.capture_data_disk_path),
        ("CaptureSpoolPath", config.capture_spool_path),
    ):
        if path and not path.startswith("/"):
            raise ConfigError(f"{key}: {path!r} is not an absolute path")
    check_prefix(config.folder_prefix)
    for path in (config.unix_socket_name, config.lookout_socket):
        if path:
            check_length(Path(path))
            check_group(config.unix_socket_group)
    if config.lookout_socket and config.lookout_socket == config.unix_socket_name:
        raise ConfigError("LookoutSocket: is the same as UnixSocketName; each interface needs a socket of its own")
    read_keys(config.trusted_keys)
    schedule_of(config)
    if config.require_signature and not config.trusted_keys:
        raise ConfigError("TrustedKeys: is empty, so RequireSignature would refuse every package")
    _check_sending(config)


def check_prefix(prefix: str) -> None:
    """Captured data never leaves the folder that the prefix is put below, and is not hidden in it. Raises ConfigError."""
    parts = [part for part in prefix.split("/") if part]
    if not parts or any(part.startswith(".") or "\\" in part or not part.isprintable() for part in parts):
        raise ConfigError(
            f"FolderPrefix: {prefix[:100]!r} names no folder below another: want printable names with slashes between, none "
            "that begins with a dot"
        )


def _check_sending(config: AgentConfig) -> None:
    if not config.sends_captures:
        return
    if not config.bucket_name:
        raise ConfigError("BucketName: is missing; captured data cannot be sent to S3 without it")
    if config.iot_credential_endpoint and not (config.certificate_file and config.private_key_file):
        raise ConfigError("CertificateFile: is missing, or PrivateKeyFile is; IotCredentialEndpoint needs both")
