"""What a person chooses when a pipeline is started. Imports sagemaker."""

from dataclasses import dataclass, fields
from typing import Any

from sagemaker.core.workflow.parameters import ParameterFloat, ParameterInteger, ParameterString

from model_build.jobs.flags import UNSET
from model_build.pipelines.plans import TARGETS, PipelinePlan, Place
from model_build.pipelines.source import STARTER_FILE


@dataclass(frozen=True, slots=True)
class Parameters:
    """A pipeline variable each; docs/pipelines.md says what they mean."""

    data: Any
    layout: Any
    part_pattern: Any
    region: Any
    test_share: Any
    seed: Any
    epochs: Any
    tiles: Any
    target: Any
    escapes: Any
    false_rejects: Any
    image_ap: Any
    version: Any
    previous: Any
    golden: Any
    group: Any
    out: Any
    processing: Any
    training: Any
    image: Any
    training_image: Any

    def listed(self) -> list[Any]:
        """All of them, in order."""
        return [getattr(self, field.name) for field in fields(self)]


def parameters(plan: PipelinePlan, place: Place, digest: str, images: tuple[str, str]) -> Parameters:
    """The parameters of one pipeline with their defaults. `images`: URIs of the containers that process and that train."""
    out = f"s3://{place.bucket}/pipelines/{plan.name}"
    return Parameters(
        data=ParameterString("InputData", default_value=f"s3://{place.bucket}/raw"),
        layout=ParameterString("Layout", default_value=UNSET),
        part_pattern=ParameterString("PartPattern", default_value=UNSET),
        region=ParameterString("Region", default_value=UNSET),
        test_share=ParameterFloat("TestShare", default_value=0.3),
        seed=ParameterInteger("Seed", default_value=0),
        epochs=ParameterInteger("TrainingEpochs", default_value=plan.epochs),
        tiles=ParameterString("Tiles", default_value=UNSET),
        target=ParameterString("CompileTarget", default_value=plan.target, enum_values=list(TARGETS)),
        escapes=ParameterFloat("TargetEscapes", default_value=0.02),
        false_rejects=ParameterFloat("TargetFalseRejects", default_value=0.02),
        image_ap=ParameterFloat("MinimumImageAp", default_value=0.9),
        version=ParameterInteger("RegistryVersion", default_value=1),
        # An input cannot be left out: the default is an object that is there and holds no package.
        previous=ParameterString("PreviousPackage", default_value=f"{place.code(digest)}/{STARTER_FILE}"),
        golden=ParameterString("GoldenPictures", default_value="validation", enum_values=["validation", "generated"]),
        group=ParameterString("ModelPackageGroupName", default_value=plan.group),
        out=ParameterString("OutputUri", default_value=out),
        processing=ParameterString("ProcessingInstanceType", default_value="ml.m5.xlarge"),
        training=ParameterString("TrainingInstanceType", default_value="ml.m5.2xlarge"),
        image=ParameterString("ProcessingImage", default_value=images[0]),
        training_image=ParameterString("TrainingImage", default_value=images[1]),
    )
