"""The pipelines' definitions: written without a socket, the same every time, and what SageMaker's API takes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from model_build.pipelines.offline import emitted, settled
from model_build.pipelines.plans import EXAMPLE, PIPELINES
from tests.model_build.sagemaker.checking import check_definition, steps_of

DIGEST = "c0de" * 16
# An audit hook sees every socket of the interpreter, whoever uses it, and cannot be taken off again. Making and binding one is let
# pass: urllib3 asks so, when it is imported, whether the machine has IPv6.
_NO_SOCKETS = """
import sys
def hook(event, arguments):
    if event.startswith("socket.") and event not in ("socket.__new__", "socket.bind"):
        raise SystemExit(f"used a socket: {event} {arguments}")
sys.addaudithook(hook)
"""


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Each pipeline's definition, written where no socket can be opened."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "sitecustomize.py").write_text(_NO_SOCKETS)
    environment = {**os.environ, "PYTHONPATH": str(folder), "AWS_PROFILE": "missing"}
    return dict(zip(PIPELINES, emitted(list(PIPELINES.values()), EXAMPLE, DIGEST, environment), strict=True))


@pytest.fixture(scope="module")
def definitions(texts: dict[str, str]) -> dict[str, dict[str, Any]]:
    return {name: json.loads(text) for name, text in texts.items()}


def test_the_guard_against_sockets_works(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(_NO_SOCKETS)
    environment = settled({**os.environ, "PYTHONPATH": str(tmp_path)}, EXAMPLE)
    command = [sys.executable, "-c", "import socket; socket.create_connection(('127.0.0.1', 9))"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "used a socket" in done.stderr


def test_another_process_writes_the_same_bytes(texts: dict[str, str]) -> None:
    again = emitted(
        [PIPELINES["inspector"]], EXAMPLE, DIGEST, {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    )
    assert again == [texts["inspector"]]


@pytest.mark.parametrize("name", list(PIPELINES))
def test_every_step_is_a_request_that_the_service_takes(definitions: dict[str, dict[str, Any]], name: str) -> None:
    processing = ["CreateProcessingJob"]
    assert check_definition(definitions[name]) == [
        *processing, "CreateTrainingJob", *processing * 3, *processing, "CreateModelPackage", "Fail",
    ]  # fmt: skip


def test_what_the_service_would_refuse_is_found(definitions: dict[str, dict[str, Any]]) -> None:
    wrong = json.loads(json.dumps(definitions["unet"]))
    wrong["Steps"][1]["Arguments"]["InputDataConfig"][0]["InputMode"] = "Carrier pigeon"
    with pytest.raises(AssertionError, match="Carrier pigeon"):
        check_definition(wrong)


@pytest.mark.parametrize("name", list(PIPELINES))
def test_the_gate_of_the_compiled_model_decides_and_a_person_approves(
    definitions: dict[str, dict[str, Any]], name: str
) -> None:
    steps = {step["Name"]: step for step in steps_of(definitions[name]["Steps"])}
    gate = steps["Gate"]["Arguments"]
    assert [condition["LeftValue"]["Std:JsonGet"] for condition in gate["Conditions"]] == [
        {"PropertyFile": {"Get": "Steps.EvaluateCompiled.PropertyFiles.CompiledGate"}, "Path": "passed"}
    ]
    assert [step["Name"] for step in gate["IfSteps"]] == ["Package", "Register"]
    assert [step["Type"] for step in gate["ElseSteps"]] == ["Fail"]
    assert steps["Register"]["Arguments"]["ModelApprovalStatus"] == "PendingManualApproval"
    names = {parameter["Name"] for parameter in definitions[name]["Parameters"]}
    assert "ModelApprovalStatus" not in names
    assert {"InputData", "TrainingEpochs", "CompileTarget", "TargetEscapes", "MinimumImageAp"} <= names
    assert {"ProcessingInstanceType", "TrainingInstanceType", "ModelPackageGroupName"} <= names


def test_new_pictures_at_the_old_address_are_prepared_anew(definitions: dict[str, dict[str, Any]]) -> None:
    """SageMaker's cache knows a step's input by its URI alone (developer guide, default cache key attributes)."""
    for definition in definitions.values():
        for step in steps_of(definition["Steps"]):
            assert not step.get("CacheConfig", {}).get("Enabled"), step["Name"]


def test_a_compilation_is_told_its_region(definitions: dict[str, dict[str, Any]]) -> None:
    """The container of the step is not told what boto3 looks for."""
    steps = {step["Name"]: step for step in steps_of(definitions["inspector"]["Steps"])}
    words = steps["Compile"]["Arguments"]["AppSpecification"]["ContainerArguments"]
    assert words[words.index("--neo-region") + 1] == EXAMPLE.region


def test_the_code_is_named_by_its_digest_and_images_by_framework(texts: dict[str, str]) -> None:
    assert all(f"s3://linewatch-models/code/{DIGEST}/source.tar.gz" in text for text in texts.values())
    assert "tensorflow-training:" in texts["unet"]
    assert "tensorflow-training:" not in texts["inspector"] + texts["resnet18"]
    assert all("dkr.ecr.eu-central-1.amazonaws.com/pytorch-training:" in text for text in texts.values())
