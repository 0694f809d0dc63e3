"""The configuration of aws.greengrass.SageMakerEdgeManager, carried over as it is."""

import pytest
from linewatch_agent.config import AgentConfig, validate
from linewatch_common.config import read_config

# As deployment documents hold it: texts throughout.
CARRIED_OVER = {
    "DeviceFleetName": "plant-a",
    "BucketName": "sagemaker-results",
    "CaptureDataBatchSize": "10",
    "CaptureDataBufferSize": "30",
    "CaptureDataDestination": "Cloud",
    "CaptureDataPeriodicUpload": "false",
    "CaptureDataPeriodicUploadPeriodSeconds": "8",
    "CaptureDataPushPeriodSeconds": "4",
    "CaptureDataBase64EmbedLimit": "3072",
    "CaptureDataDiskPath": "/greengrass/v2/work/aws.greengrass.SageMakerEdgeManager/capture",
    "FolderPrefix": "sme-capture",
    "SagemakerEdgeLogVerbose": "true",
    "UnixSocketName": "/tmp/aws.greengrass.SageMakerEdgeManager.sock",
}
LATER = {
    "LocalDataRootPath": "/data",
    "DbEnable": "false",
    "DeploymentEnable": "false",
    "DeploymentPollInterval": "1440",
    "DLRBackendOptions": "TVM_TENSORRT_CACHE_DIR=/data",
}


def test_every_key_is_taken_or_named_as_one_without_meaning() -> None:
    config, warnings = read_config(AgentConfig, CARRIED_OVER | LATER, "configuration")
    validate(config)
    assert warnings == [f"configuration: {key} has no meaning for this component and is ignored" for key in LATER]
    assert config == AgentConfig(
        device_fleet_name="plant-a",
        bucket_name="sagemaker-results",
        capture_data_destination="Cloud",
        capture_data_disk_path="/greengrass/v2/work/aws.greengrass.SageMakerEdgeManager/capture",
        sagemaker_edge_log_verbose=True,
        unix_socket_name="/tmp/aws.greengrass.SageMakerEdgeManager.sock",
    )


@pytest.mark.parametrize(
    ("more", "destination"),
    [({}, "Cloud"), ({"CaptureDataDestination": "Disk"}, "Disk"), ({"BucketName": ""}, "Disk")],
)
def test_the_shortest_document_sends_to_its_bucket(more: dict[str, str], destination: str) -> None:
    document = {"DeviceFleetName": "plant-a", "BucketName": "sagemaker-results", **more}
    config, warnings = read_config(AgentConfig, document, "configuration")
    validate(config)
    assert (config.destination, config.sends_captures, warnings) == (destination, destination == "Cloud", [])
