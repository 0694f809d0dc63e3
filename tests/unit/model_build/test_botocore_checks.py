"""The check of requests against botocore's model, which other tests rely on, refuses what it should."""

import re
from typing import Any

import pytest

from tests.fakes.botocore_checks import RequestRefusedError, check_request

JOB: dict[str, Any] = {
    "CompilationJobName": "inspector-1",
    "RoleArn": "arn:aws:iam::123456789012:role/compiling",
    "InputConfig": {"S3Uri": "s3://models/a.tar.gz", "DataInputConfig": '{"image": [1, 2, 2, 3]}', "Framework": "ONNX"},
    "OutputConfig": {"S3OutputLocation": "s3://models/out", "TargetPlatform": {"Os": "LINUX", "Arch": "ARM64"}},
    "StoppingCondition": {"MaxRuntimeInSeconds": 900},
}
INPUT, OUTPUT = JOB["InputConfig"], JOB["OutputConfig"]
BAD: list[tuple[dict[str, Any], str]] = [
    ({"CompilationJobName": "no spaces"}, "does not match"),
    ({"CompilationJobName": "a" * 64}, "64 is not in"),
    ({"RoleArn": "arn:aws:iam::1:role/x"}, "does not match"),
    ({"InputConfig": INPUT | {"Framework": "ONYX"}}, "'ONYX' is not one of"),
    ({"InputConfig": {"Framework": "ONNX"}}, "S3Uri"),
    ({"OutputConfig": OUTPUT | {"TargetPlatform": {"Os": "LINUX", "Arch": "aarch64"}}}, "'aarch64' is not one of"),
    ({"StoppingCondition": {"MaxRuntimeInSeconds": 0}}, "valid min value"),
    ({"Colour": "red"}, "Colour"),
]


def test_a_right_request_passes() -> None:
    check_request("sagemaker", "CreateCompilationJob", JOB)
    check_request("greengrassv2", "ListCoreDevices", {"status": "HEALTHY", "maxResults": 10})
    package = {"ModelPackageArn": "arn:aws:sagemaker:eu-west-1:123456789012:model-package/group/1"}
    check_request(
        "sagemaker", "UpdateModelPackage", package | {"CustomerMetadataProperties": {"package_uri": "s3://a/b"}}
    )


@pytest.mark.parametrize(("change", "line"), BAD, ids=[line for _, line in BAD])
def test_what_the_service_would_refuse_is_refused(change: dict[str, Any], line: str) -> None:
    with pytest.raises(RequestRefusedError, match=re.escape(line)):
        check_request("sagemaker", "CreateCompilationJob", JOB | change)
