"""The original agent's configuration file, read into ours."""

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linewatch_common.config import read_config
from linewatch_common.errors import ConfigError

from linewatch_agent.config import AgentConfig, validate
from linewatch_agent.sockets import check_group

MAX_FILE_BYTES = 1024 * 1024

# The original's keys that mean something here, and our key of the same meaning.
OUR_KEYS = {
    "sagemaker_edge_core_device_fleet_name": "DeviceFleetName",
    "sagemaker_edge_core_capture_data_destination": "CaptureDataDestination",
    "sagemaker_edge_core_capture_data_disk_path": "CaptureDataDiskPath",
    "sagemaker_edge_core_folder_prefix": "FolderPrefix",
    "sagemaker_edge_core_capture_data_buffer_size": "CaptureDataBufferSize",
    "sagemaker_edge_core_capture_data_batch_size": "CaptureDataBatchSize",
    "sagemaker_edge_core_capture_data_push_period_seconds": "CaptureDataPushPeriodSeconds",
    "sagemaker_edge_core_capture_data_base64_embed_limit": "CaptureDataBase64EmbedLimit",
    "sagemaker_edge_core_capture_data_periodic_upload": "CaptureDataPeriodicUpload",
    "sagemaker_edge_core_capture_data_periodic_upload_period_seconds": "CaptureDataPeriodicUploadPeriodSeconds",
    "sagemaker_edge_core_region": "Region",
    "sagemaker_edge_core_iot_thing_name": "IotThingName",
    "sagemaker_edge_provider_s3_bucket_name": "BucketName",
    "sagemaker_edge_provider_aws_iot_cred_endpoint": "IotCredentialEndpoint",
    "sagemaker_edge_provider_aws_ca_cert_file": "CertificateAuthorityFile",
    "sagemaker_edge_provider_aws_cert_file": "CertificateFile",
    "sagemaker_edge_provider_aws_cert_pk_file": "PrivateKeyFile",
    "sagemaker_edge_log_verbose": "SagemakerEdgeLogVerbose",
}
# Ours alone, admitted in the same file.
OWN_KEYS = {
    "linewatch_unix_socket_mode": "UnixSocketMode",
    "linewatch_unix_socket_group": "UnixSocketGroup",
    "linewatch_allowed_roots": "AllowedRoots",
    "linewatch_metrics_port": "MetricsPort",
    "linewatch_lookout_socket": "LookoutSocket",
    "linewatch_lookout_models": "LookoutModels",
    "linewatch_memory_budget_mb": "MemoryBudgetMB",
    "linewatch_inference_threads": "InferenceThreads",
    "linewatch_onnx_backend": "OnnxBackend",
    "linewatch_trusted_keys": "TrustedKeys",
    "linewatch_require_signature": "RequireSignature",
    "linewatch_capture_buffer_mb": "CaptureBufferMB",
    "linewatch_capture_disk_mb": "CaptureDiskMB",
    "linewatch_capture_max_age_days": "CaptureMaxAgeDays",
    "linewatch_capture_spool": "CaptureSpool",
    "linewatch_capture_spool_path": "CaptureSpoolPath",
    "linewatch_stream_name": "StreamName",
    "linewatch_stream_max_mb": "StreamMaxMB",
    "linewatch_stream_strategy_on_full": "StreamStrategyOnFull",
    "linewatch_kinesis_stream_name": "KinesisStreamName",
}
# What the original's file means by saying nothing, where its component means something else.
_DEFAULTS = {"CaptureDataDestination": "Disk"}
DEVICE_NAME_KEYS = ("sagemaker_edge_core_device_name", "sagemaker_edge_core_device_uuid")
# The original's keys that have nothing to do here: its registration, signatures of a service that has ended, its own libraries.
WITHOUT_MEANING = frozenset(
    {
        "sagemaker_edge_core_root_certs_path",
        "sagemaker_edge_core_endpoint_override",
        "sagemaker_edge_core_config_path",
        "sagemaker_edge_core_core_config_path",
        "sagemaker_edge_provider_provider",
        "sagemaker_edge_provider_provider_path",
        "sagemaker_edge_telemetry_libsystemd_path",
        "sagemaker_edge_db_module_path",
        "sagemaker_edge_local_data_root_path",
        "sagemaker_edge_deployment_lib_path",
        "sagemaker_edge_model_deployment_poll_interval",
        "sagemaker_edge_dlr_backend_options",
    }
)


@dataclass(frozen=True, slots=True)
class OriginalConfig:
    """What a file says: our configuration, the device's name, and a line for each key that does nothing."""

    config: AgentConfig
    device: str
    warnings: tuple[str, ...]


def read_original(path: Path) -> OriginalConfig:
    """Read the file given by `-c`. Raises ConfigError with one line that names the file, the key and the bound."""
    raw = _read(path)
    translated = OUR_KEYS | OWN_KEYS
    # Tools that wrote such files left what they did not know empty.
    given = {translated[key]: value for key, value in raw.items() if key in translated and value not in ("", None)}
    where = str(path)
    try:
        config, _ = read_config(AgentConfig, _DEFAULTS | given, where)
        validate(config)
        check_group(config.unix_socket_group)  # of the socket in `-a`
    except ConfigError as error:
        reason = _in_their_words(str(error).removeprefix(f"{where}: "), translated)
        raise ConfigError(f"{where}: {reason}") from error
    device = next((str(raw[key]) for key in DEVICE_NAME_KEYS if raw.get(key)), "local")
    return OriginalConfig(config, device[:63], tuple(_warnings(where, raw)))


def _read(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: is over {MAX_FILE_BYTES} bytes, too big for a configuration")
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: want one JSON object of keys and values")
    return raw


def _warnings(where: str, raw: Mapping[str, Any]) -> list[str]:
    working = {*OUR_KEYS, *OWN_KEYS, *DEVICE_NAME_KEYS}
    lines = []
    for key in raw:
        if key in WITHOUT_MEANING:
            lines.append(f"{where}: {key} has no meaning for this agent and is ignored")
        elif key not in working:
            near = difflib.get_close_matches(key, sorted(working | WITHOUT_MEANING), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            lines.append(f"{where}: unknown key {key!r} is ignored{hint}")
    return lines


def _in_their_words(message: str, translated: Mapping[str, str]) -> str:
    """An error about our keys, naming those of the file."""
    theirs = {ours: key for key, ours in translated.items()}
    return re.sub(rf"\b({'|'.join(theirs)})\b", lambda found: theirs[found[1]], message)
