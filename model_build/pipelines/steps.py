"""The steps of a pipeline, each one of the jobs of `model_build.jobs`. Imports sagemaker."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sagemaker.core.processing import ScriptProcessor
from sagemaker.core.shapes import ProcessingInput, ProcessingOutput, ProcessingS3Input, ProcessingS3Output
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.steps import ProcessingStep, TrainingStep
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, OutputDataConfig, StoppingCondition

from model_build.jobs.gate import EVALUATION_FILE, GATE_FILE
from model_build.jobs.places import PACKAGE_FILE, REGISTERED_FILE
from model_build.pipelines.parameters import Parameters
from model_build.pipelines.plans import PipelinePlan, Place
from model_build.pipelines.source import ARCHIVE_FILE, STARTER_FILE

_PROCESSING = "/opt/ml/processing"
_PROCESSING_S, _TRAINING_S = 2 * 3600, 8 * 3600  # a hung job must not cost a weekend; real ones take minutes


@dataclass(frozen=True, slots=True)
class Jobs:
    """Makes the steps of one pipeline. `digest`: of the source archive that all of them run.

    No step is cached: SageMaker compares the addresses of what a step reads, not what lies there, and new pictures come to the old address.
    """

    plan: PipelinePlan
    place: Place
    digest: str
    session: Any
    parameters: Parameters

    def prepare(self) -> ProcessingStep:
        """Raw pictures to the prepared form."""
        chosen = self.parameters
        flags = {
            "--layout": chosen.layout,
            "--part-pattern": chosen.part_pattern,
            "--region": chosen.region,
            "--test-share": chosen.test_share.to_string(),
            "--seed": chosen.seed.to_string(),
        }
        return self._processing("Prepare", "prepare", {"raw": chosen.data}, ("data", "report"), flags)

    def train(self, prepared: ProcessingStep) -> TrainingStep:
        """The net, out-of-fold predictions included."""
        chosen = self.parameters
        trainer = ModelTrainer(
            training_image=chosen.training_image,
            role=self.place.role,
            sagemaker_session=self.session,
            compute=Compute(instance_type=chosen.training, instance_count=1, volume_size_in_gb=50),
            hyperparameters={
                "model": self.plan.name,
                "epochs": chosen.epochs.to_string(),
                "seed": chosen.seed.to_string(),
                "tiles": chosen.tiles,
                "sagemaker_program": "train.py",
                "sagemaker_submit_directory": f"{self.place.code(self.digest)}/{ARCHIVE_FILE}",
            },
            output_data_config=OutputDataConfig(s3_output_path=self._made("train")),
            stopping_condition=StoppingCondition(max_runtime_in_seconds=_TRAINING_S),
            base_job_name=self.plan.pipeline,
            input_data_config=[InputData(channel_name="data", data_source=_output(prepared, "data"))],
        )
        return TrainingStep("Train", step_args=trainer.train())

    def evaluate(self, prepared: ProcessingStep, trained: TrainingStep) -> ProcessingStep:
        """The float model on the test split."""
        inputs = {"data": _output(prepared, "data"), "model": _model(trained)}
        return self._processing(
            "Evaluate", "evaluate", inputs, ("evaluation",), self._demands(), file=_gate("FloatGate")
        )

    def compile(self, prepared: ProcessingStep, trained: TrainingStep) -> ProcessingStep:
        """What a device runs, held against the float model."""
        inputs = {"data": _output(prepared, "data"), "model": _model(trained)}
        # What is not for the target is left unread.
        neo = {"--neo-role": self.place.role, "--neo-region": self.place.region, "--neo-s3": self._made("neo")}
        flags = {"--target": self.parameters.target, **neo}
        return self._processing("Compile", "compile", inputs, ("artefact",), flags)

    def evaluate_compiled(
        self,
        name: str,
        prepared: ProcessingStep,
        trained: TrainingStep,
        evaluated: ProcessingStep,
        compiled: ProcessingStep,
    ) -> ProcessingStep:
        """The compiled model on the test split; its gate decides."""
        inputs = {
            "data": _output(prepared, "data"),
            "model": _model(trained),
            "artefact": _output(compiled, "artefact"),
            "evaluated": _output(evaluated, "evaluation"),
        }
        return self._processing(
            name, "evaluate-compiled", inputs, ("evaluation",), self._demands(), file=_gate("CompiledGate")
        )

    def package(
        self, prepared: ProcessingStep, trained: TrainingStep, compiled: ProcessingStep, judged: ProcessingStep
    ) -> ProcessingStep:
        """The package and what the registry will say of it."""
        inputs = {
            "data": _output(prepared, "data"),
            "model": _model(trained),
            "artefact": _output(compiled, "artefact"),
            "evaluation": _output(judged, "evaluation"),
            "previous": self.parameters.previous,
        }
        flags = {
            "--name": self.plan.package,
            "--component": self.plan.component,
            "--registry-version": self.parameters.version.to_string(),
            "--golden": self.parameters.golden,
            "--code-digest": self.digest,
            "--package-uri": self._made("package", "package", PACKAGE_FILE),
            "--report-uri": Join(on="/", values=[_output(judged, "evaluation"), EVALUATION_FILE]),
            "--data-uri": _output(prepared, "data"),
            "--run-uri": _model(trained),
            "--gate": Join(on=" ", values=list(self._demands().values())),
        }
        registered = PropertyFile(name="Registered", output_name="package", path=REGISTERED_FILE)
        return self._processing("Package", "package", inputs, ("package",), flags, file=registered)

    def _demands(self) -> dict[str, Any]:
        chosen = self.parameters
        return {
            "--target-escapes": chosen.escapes.to_string(),
            "--target-false-rejects": chosen.false_rejects.to_string(),
            "--minimum-ap": chosen.image_ap.to_string(),
        }

    def _processing(
        self,
        name: str,
        job: str,
        inputs: Mapping[str, Any],
        outputs: tuple[str, ...],
        flags: Mapping[str, Any],
        *,
        file: PropertyFile | None = None,
    ) -> ProcessingStep:
        code = self.place.code(self.digest)
        processor = ScriptProcessor(
            image_uri=self.parameters.image,
            command=["python3"],
            role=self.place.role,
            instance_count=1,
            instance_type=self.parameters.processing,
            max_runtime_in_seconds=_PROCESSING_S,
            base_job_name=f"{self.plan.pipeline}-{job}",
            sagemaker_session=self.session,
        )
        arguments = processor.run(
            code=f"{code}/{STARTER_FILE}",
            inputs=[_given(key, uri) for key, uri in {**inputs, "source": f"{code}/{ARCHIVE_FILE}"}.items()],
            outputs=[self._kept(job, key) for key in outputs],
            arguments=[job, *(part for pair in flags.items() for part in pair)],
        )
        return ProcessingStep(name, step_args=arguments, property_files=[file] if file else [])

    def _kept(self, job: str, name: str) -> ProcessingOutput:
        place = ProcessingS3Output(
            s3_uri=self._made(job, name),
            local_path=f"{_PROCESSING}/output/{name}",
            s3_upload_mode="EndOfJob",
        )
        return ProcessingOutput(output_name=name, s3_output=place)

    def _made(self, *parts: str) -> Join:
        """Where this execution keeps what a job makes."""
        return Join(on="/", values=[self.parameters.out, ExecutionVariables.PIPELINE_EXECUTION_ID, *parts])


def _given(name: str, uri: Any) -> ProcessingInput:
    place = ProcessingS3Input(
        s3_uri=uri, local_path=f"{_PROCESSING}/input/{name}", s3_data_type="S3Prefix", s3_input_mode="File"
    )
    return ProcessingInput(input_name=name, s3_input=place)


def _output(step: ProcessingStep, name: str) -> Any:
    return step.properties.ProcessingOutputConfig.Outputs[name].S3Output.S3Uri


def _model(trained: TrainingStep) -> Any:
    return trained.properties.ModelArtifacts.S3ModelArtifacts


def _gate(name: str) -> PropertyFile:
    return PropertyFile(name=name, output_name="evaluation", path=GATE_FILE)
