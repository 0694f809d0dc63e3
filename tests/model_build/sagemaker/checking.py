"""Checks a pipeline's definition step by step: parameters resolved, references known, each request as botocore's model has it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.fakes.botocore_checks import check_request

OPERATIONS: dict[str, tuple[str, dict[str, str]]] = {  # what the service adds to a step's arguments when it runs it
    "Processing": ("CreateProcessingJob", {"ProcessingJobName": "job"}),
    "Training": ("CreateTrainingJob", {"TrainingJobName": "job"}),
    "RegisterModel": ("CreateModelPackage", {}),
}
_DIGEST = "0123456789abcdef" * 4


def steps_of(steps: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every step, those behind a condition included."""
    for step in steps:
        yield step
        if step["Type"] == "Condition":
            yield from steps_of(step["Arguments"]["IfSteps"])
            yield from steps_of(step["Arguments"]["ElseSteps"])


def check_definition(definition: Mapping[str, Any]) -> list[str]:
    """The operations that were checked, one a step. Raises AssertionError (RequestRefusedError) with what is wrong."""
    steps = list(steps_of(definition["Steps"]))
    names = [step["Name"] for step in steps]
    assert len(names) == len(set(names)), f"two steps have one name: {names}"
    values = {parameter["Name"]: parameter["DefaultValue"] for parameter in definition["Parameters"]}
    checked = []
    for step in steps:
        unknown = {name for name in _referenced(step) if name not in names}
        assert not unknown, f"{step['Name']} refers to {unknown}"
        arguments = _resolved(step["Arguments"], values)
        if step["Type"] in OPERATIONS:
            operation, added = OPERATIONS[step["Type"]]
            check_request("sagemaker", operation, arguments | added)
            checked.append(operation)
        elif step["Type"] == "Fail":
            assert isinstance(arguments["ErrorMessage"], str)
            checked.append("Fail")
    return checked


def _referenced(step: Mapping[str, Any]) -> set[str]:
    return {part.split(".")[0] for part in json.dumps(step).split('"Get": "Steps.')[1:]}


def _resolved(value: Any, parameters: Mapping[str, Any]) -> Any:
    match value:
        case list():
            found: Any = [_resolved(item, parameters) for item in value]
        case {"Get": str(name)}:
            found = _got(name, parameters)
        case {"Std:Join": {"On": str(glue), "Values": list(items)}}:
            found = glue.join(str(_resolved(item, parameters)) for item in items)
        case {"Std:JsonGet": _}:
            found = f"sha256:{_DIGEST}"
        case dict():
            found = {key: _resolved(item, parameters) for key, item in value.items()}
        case _:
            found = value
    return found


def _got(name: str, parameters: Mapping[str, Any]) -> Any:
    if name.startswith("Parameters."):
        return parameters[name.removeprefix("Parameters.")]
    return "abcdef123456" if name.startswith("Execution.") else "s3://bucket/of/a/step"
