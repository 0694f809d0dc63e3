"""Executes an emitted definition on this machine: s3:// is a folder, a container is a process, the registry is moto's.

Steps run in the order of their references. Processing starts the very command of the definition, with /opt/ml/processing moved.
"""

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from tests.fakes.botocore_checks import check_request
from tests.model_build.sagemaker.checking import OPERATIONS

Train = Callable[[Path, Path, Mapping[str, str]], None]  # the channel's folder, the model folder, hyperparameters


class PipelineFailedError(Exception):
    """The pipeline ended at a Fail step or in a job that failed."""


class Execution:
    """One execution. `buckets`: folder that stands for S3. `python`: of the containers. `sagemaker`: a boto3 client."""

    def __init__(
        self, definition: Mapping[str, Any], parameters: Mapping[str, Any], *, buckets: Path, work: Path, python: Path,
        train: Train, sagemaker: Any,
    ) -> None:  # fmt: skip
        self._steps: list[dict[str, Any]] = definition["Steps"]
        self._values = {item["Name"]: item["DefaultValue"] for item in definition["Parameters"]} | dict(parameters)
        self._buckets, self._work, self._python, self._train = buckets, work, python, train
        self._sagemaker = sagemaker
        self._outputs: dict[str, str] = {}
        self._files: dict[str, Any] = {}
        self.done: list[str] = []

    def run(self) -> "Execution":
        """Raises PipelineFailedError."""
        self._run(self._steps)
        return self

    def _run(self, steps: list[dict[str, Any]]) -> None:
        for step in _ordered(steps):
            arguments = self._resolved(step["Arguments"]) if step["Type"] != "Condition" else step["Arguments"]
            if step["Type"] in OPERATIONS:
                operation, added = OPERATIONS[step["Type"]]
                check_request("sagemaker", operation, arguments | added)
            self.done.append(step["Name"])
            getattr(self, f"_{step['Type'].lower()}")(step, arguments)

    def _processing(self, step: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
        base = self._work / step["Name"] / "ml" / "processing"
        for item in arguments["ProcessingInputs"]:
            _fetch(self._at(item["S3Input"]["S3Uri"]), _moved(item["S3Input"]["LocalPath"], base))
        outputs = arguments["ProcessingOutputConfig"]["Outputs"]
        for item in outputs:  # they are there before the job starts
            _moved(item["S3Output"]["LocalPath"], base).mkdir(parents=True)
        specification = arguments["AppSpecification"]
        _, script = specification["ContainerEntrypoint"]
        command = [str(self._python), str(_moved(script, base)), *specification["ContainerArguments"]]
        # No PYTHONPATH of the checkout: the archive must hold all that the jobs import.
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHONPATH"))}
        environment = {**plain, "LINEWATCH_PROCESSING_BASE": str(base), "LINEWATCH_INSTALL": "0"}
        done = subprocess.run(command, env=environment, cwd=base, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            message = base.parent / "output" / "message"
            raise PipelineFailedError(message.read_text() if message.exists() else done.stderr)
        for item in outputs:
            local, uri = _moved(item["S3Output"]["LocalPath"], base), item["S3Output"]["S3Uri"]
            shutil.copytree(local, self._at(uri))
            name = item["OutputName"]
            self._outputs[f"{step['Name']}.ProcessingOutputConfig.Outputs['{name}'].S3Output.S3Uri"] = uri
            for file in step.get("PropertyFiles", []):
                if file["OutputName"] == name:
                    place = f"Steps.{step['Name']}.PropertyFiles.{file['PropertyFileName']}"
                    self._files[place] = json.loads((local / file["FilePath"]).read_text())

    def _training(self, step: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
        (channel,) = arguments["InputDataConfig"]
        assert channel["ChannelName"] == "data"
        model = self._work / step["Name"] / "model"
        model.mkdir(parents=True)
        self._train(self._at(channel["DataSource"]["S3DataSource"]["S3Uri"]), model, arguments["HyperParameters"])
        uri = f"{arguments['OutputDataConfig']['S3OutputPath']}/job/output/model.tar.gz"
        self._at(uri).parent.mkdir(parents=True)
        with tarfile.open(self._at(uri), "w:gz") as packed:
            packed.add(model, ".")
        self._outputs[f"{step['Name']}.ModelArtifacts.S3ModelArtifacts"] = uri

    def _condition(self, _: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
        (condition,) = arguments["Conditions"]
        assert condition["Type"] == "Equals"
        held = self._resolved(condition["LeftValue"]) == condition["RightValue"]
        self._run(arguments["IfSteps" if held else "ElseSteps"])

    def _fail(self, _: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
        raise PipelineFailedError(arguments["ErrorMessage"])

    def _registermodel(self, _: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
        self._sagemaker.create_model_package(**arguments)

    def _at(self, uri: str) -> Path:
        assert uri.startswith("s3://"), uri
        return self._buckets / uri.removeprefix("s3://")

    def _resolved(self, value: Any) -> Any:
        match value:
            case list():
                found: Any = [self._resolved(item) for item in value]
            case {"Get": str(name)}:
                found = self._got(name)
            case {"Std:Join": {"On": str(glue), "Values": list(items)}}:
                found = glue.join(str(self._resolved(item)) for item in items)
            case {"Std:JsonGet": {"PropertyFile": {"Get": str(file)}, "Path": str(path)}}:
                found = self._files[file]
                for key in path.split("."):
                    found = found[key]
            case dict():
                found = {key: self._resolved(item) for key, item in value.items()}
            case _:
                found = value
        return found

    def _got(self, name: str) -> Any:
        kind, _, rest = name.partition(".")
        if kind == "Parameters":
            return self._values[rest]
        return "execution1" if kind == "Execution" else self._outputs[rest]


def _ordered(steps: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """As the service orders them: by their references alone."""
    names, done, left = {step["Name"] for step in steps}, set[str](), list(steps)
    while left:
        ready = next(step for step in left if not (_needs(step) & names) - done - {step["Name"]})
        left.remove(ready)
        done.add(ready["Name"])
        yield ready


def _needs(step: Mapping[str, Any]) -> set[str]:
    return {part.split(".")[0] for part in json.dumps(step).split('"Get": "Steps.')[1:]}


def _moved(path: str, base: Path) -> Path:
    return base / PurePosixPath(path).relative_to("/opt/ml/processing")


def _fetch(source: Path, folder: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, folder, dirs_exist_ok=True)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / source.name)
