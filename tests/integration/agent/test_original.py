"""The original's configuration file and flags."""

import json
from pathlib import Path
from typing import Any

import pytest
from linewatch_agent.__main__ import main
from linewatch_agent.config import AgentConfig
from linewatch_agent.original import DEVICE_NAME_KEYS, OUR_KEYS, read_original
from linewatch_agent.standalone import socket_of
from linewatch_common.errors import ConfigError


def _file(folder: Path, content: Any) -> Path:
    path = folder / "config.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_known_keys_are_read(tmp_path: Path) -> None:
    read = read_original(
        _file(
            tmp_path,
            {
                "sagemaker_edge_core_device_name": "d",
                "sagemaker_edge_core_device_fleet_name": "f",
                "sagemaker_edge_core_capture_data_buffer_size": 30,
                "sagemaker_edge_core_capture_data_batch_size": "10",
                "sagemaker_edge_core_capture_data_base64_embed_limit": 2,
                "sagemaker_edge_core_capture_data_disk_path": "/data",
                "sagemaker_edge_core_folder_prefix": "a/b",
                "sagemaker_edge_log_verbose": True,
            },
        )
    )
    assert (read.device, read.warnings) == ("d", ())
    assert read.config == AgentConfig(
        device_fleet_name="f",
        capture_data_destination="Disk",
        capture_data_base64_embed_limit=2,
        capture_data_disk_path="/data",
        folder_prefix="a/b",
        sagemaker_edge_log_verbose=True,
    )


def test_what_was_left_empty_is_not_there(tmp_path: Path) -> None:
    """So the files of AWS's Defect Detection Application are written."""
    keys = [*OUR_KEYS, *DEVICE_NAME_KEYS, "sagemaker_edge_provider_provider"]
    empty = read_original(_file(tmp_path, dict.fromkeys(keys, "")))
    assert empty.config == read_original(_file(tmp_path, {})).config
    assert read_original(_file(tmp_path, {"sagemaker_edge_core_region": None})).config == empty.config
    assert (empty.device, empty.config.destination) == ("local", "Disk")


def test_a_bucket_alone_sends_nothing(tmp_path: Path) -> None:
    """Unlike in the component's configuration: the original's two defaults differ."""
    read = read_original(_file(tmp_path, {"sagemaker_edge_provider_s3_bucket_name": "sagemaker-bucket"}))
    assert read.config.destination == "Disk"


def test_keys_of_sending_to_s3(tmp_path: Path) -> None:
    keys = {
        "sagemaker_edge_core_capture_data_destination": "Cloud",
        "sagemaker_edge_core_region": "eu-west-1",
        "sagemaker_edge_core_iot_thing_name": "thing",
        "sagemaker_edge_provider_s3_bucket_name": "sm-edge-bucket",
        "sagemaker_edge_provider_aws_iot_cred_endpoint": "https://host/role-aliases/alias/credentials",
        "sagemaker_edge_provider_aws_ca_cert_file": "/ca.pem",
        "sagemaker_edge_provider_aws_cert_file": "/device.pem",
        "sagemaker_edge_provider_aws_cert_pk_file": "/key.pem",
    }
    read = read_original(_file(tmp_path, keys))
    assert read.warnings == ()
    assert read.config == AgentConfig(
        capture_data_destination="Cloud",
        region="eu-west-1",
        iot_thing_name="thing",
        bucket_name="sm-edge-bucket",
        iot_credential_endpoint="https://host/role-aliases/alias/credentials",
        certificate_authority_file="/ca.pem",
        certificate_file="/device.pem",
        private_key_file="/key.pem",
    )
    del keys["sagemaker_edge_provider_aws_cert_pk_file"]
    with pytest.raises(ConfigError, match="aws_cert_file: is missing, or"):
        read_original(_file(tmp_path, keys))
    with pytest.raises(ConfigError, match="s3_bucket_name: is missing"):
        read_original(_file(tmp_path, {"sagemaker_edge_core_capture_data_periodic_upload": True}))


def test_keys_that_do_nothing_are_named(tmp_path: Path) -> None:
    keys = {"sagemaker_edge_core_root_certs_path": "x", "sagemaker_edge_core_device_flet_name": "y", "nonsense": 1}
    certificates, typo, nonsense = read_original(_file(tmp_path, keys)).warnings
    assert "sagemaker_edge_core_root_certs_path has no meaning" in certificates
    assert "did you mean sagemaker_edge_core_device_fleet_name?" in typo
    assert nonsense.endswith("unknown key 'nonsense' is ignored")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "one JSON object"),
        (
            {"sagemaker_edge_core_capture_data_batch_size": 0},
            "sagemaker_edge_core_capture_data_batch_size: expected `int` >= 1",
        ),
        (
            {"sagemaker_edge_core_capture_data_batch_size": 40},
            "sagemaker_edge_core_capture_data_batch_size: 40 must be less than sagemaker_edge_core_capture_data_buffer_size (30)",
        ),
        ({"sagemaker_edge_core_folder_prefix": "../up"}, "sagemaker_edge_core_folder_prefix: '../up' names no folder"),
        (
            {"sagemaker_edge_core_capture_data_destination": "cloud"},
            "sagemaker_edge_core_capture_data_destination: invalid enum value 'cloud'; want 'Disk' or 'Cloud'",
        ),
        ({"linewatch_unix_socket_group": "nobodys-group"}, "linewatch_unix_socket_group: there is no group"),
        ({"sagemaker_edge_core_capture_data_disk_path": "here"}, "not an absolute path"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, content: Any, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_original(_file(tmp_path, content))
    assert reason in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "config.json"))
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("own_logging")
def test_a_missing_file_ends_the_process_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-a", str(tmp_path / "s"), "-c", str(tmp_path / "missing.json")]) == 78
    assert "missing.json: No such file" in capsys.readouterr().out


def test_the_socket_may_be_written_as_clients_write_it() -> None:
    assert socket_of("unix:///tmp/s") == socket_of("unix:/tmp/s") == socket_of("/tmp/s") == Path("/tmp/s")


def test_selfcheck_prints_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--selfcheck"]) == 0
    assert capsys.readouterr().out.startswith("OK linewatch_agent: openvino")


def test_without_arguments_the_usage_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["-a", "/x.sock"], ["-c", "c.json"], ["run", "-a", "/x.sock"]])
def test_half_of_the_flags_is_said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "give both" in capsys.readouterr().err
