"""The three pipelines as plain data: which net, in which container, for which component."""

import re
from dataclasses import dataclass
from typing import Literal

from linewatch_common.errors import InputError

from model_build.nets.interface import Framework, net_named

# AWS's deep learning containers: framework, version and Python as the SageMaker SDK's own list names them (it knows the account
# of each region). Unverified: none has been started by this project.
CONTAINERS: dict[Framework, tuple[str, str, str]] = {
    "torch": ("pytorch", "2.9.0", "py312"),
    "tensorflow": ("tensorflow", "2.21.0", "py312"),
}
Target = Literal["onnx", "onnx-int8", "openvino-int8", "tflite-int8", "neo"]
TARGETS: tuple[Target, ...] = ("onnx", "onnx-int8", "openvino-int8", "tflite-int8", "neo")


@dataclass(frozen=True, slots=True)
class PipelinePlan:
    """One pipeline. `name` is the net's, too. `package` is the model's name on the device, `target` the default of CompileTarget."""

    name: str
    package: str
    target: Target
    epochs: int

    @property
    def framework(self) -> Framework:
        """Of its net."""
        return net_named(self.name).framework

    @property
    def component(self) -> str:
        """The Greengrass component that carries the model."""
        return f"com.linewatch.model.{self.package}"

    @property
    def pipeline(self) -> str:
        """The pipeline's name in SageMaker."""
        return f"linewatch-{self.name}"

    @property
    def group(self) -> str:
        """The default model package group: the one in which the account's template waits for an approval."""
        return self.group_in("linewatch")

    def group_in(self, prefix: str) -> str:
        """The same in an account whose names begin with `prefix`: SurfaceInspector's is `<prefix>-surface-inspector`."""
        return prefix + re.sub("[A-Z]", lambda letter: f"-{letter[0].lower()}", self.package)


PIPELINES = {
    plan.name: plan
    for plan in (
        PipelinePlan("resnet18", "SurfaceClassifier", "openvino-int8", 12),
        PipelinePlan("unet", "SurfaceSegmenter", "openvino-int8", 12),
        PipelinePlan("inspector", "SurfaceInspector", "openvino-int8", 12),
    )
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pipeline lives in AWS. `bucket` holds the code, and by default what the pipeline makes."""

    region: str = "eu-central-1"
    bucket: str = "linewatch-models"
    role: str = "arn:aws:iam::111122223333:role/linewatch-pipelines"

    def code(self, digest: str) -> str:
        """URI of the folder with the source archive of this digest and the script that starts it."""
        return f"s3://{self.bucket}/code/{digest}"


EXAMPLE = Place()


def plan_named(name: str) -> PipelinePlan:
    """Raises InputError for an unknown name."""
    if name not in PIPELINES:
        raise InputError(f"pipeline {name!r} is unknown, expected one of {', '.join(PIPELINES)}")
    return PIPELINES[name]
