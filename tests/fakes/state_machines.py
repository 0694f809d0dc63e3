"""Step Functions, as far as our state machine needs it: it runs the definition itself, with simulated time. No state is skipped.

`StateMachines` stands where boto3's client does. Executions wait until `run` is called, so that events can arrive meanwhile.
Semantics are the Amazon States Language's (states-language.net/spec.html, JSONPath); what the definition does not use is refused.
"""

import copy
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

Task = Callable[[str, dict[str, Any]], Any]
_CALL = re.compile(r"States\.(\w+)\((.*)\)")
_FIELDS = {
    "Pass": {"Parameters", "InputPath", "ResultPath", "Next"},
    "Task": {
        "Resource",
        "Parameters",
        "ResultSelector",
        "ResultPath",
        "TimeoutSeconds",
        "Retry",
        "Catch",
        "Next",
    },
    "Choice": {"Choices", "Default"},
    "Wait": {"Seconds", "SecondsPath", "Next"},
    "Succeed": set(),
    "Fail": {"ErrorPath", "CausePath"},
}
MAX_STATES = 5_000  # a loop without an end fails a test instead of hanging it
MAX_STATE_BYTES = 256 * 1024


class TaskFailed(Exception):  # noqa: N818 - as the language calls it
    """A task's error: its name and cause."""

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(error, cause)
        self.error = error
        self.cause = cause


@dataclass(slots=True)
class Execution:
    """One run of the definition."""

    name: str
    input: dict[str, Any]
    status: str = "RUNNING"
    error: str = ""
    cause: str = ""
    states: list[str] = field(default_factory=list)


class StateMachines:
    """One state machine. `task` does a resource's work, `sleep` lets time pass."""

    def __init__(self, definition: dict[str, Any], arn: str, task: Task, sleep: Callable[[float], None]) -> None:
        self._definition = definition
        self._arn = arn
        self._task = task
        self._sleep = sleep
        self.executions: list[Execution] = []

    @property
    def meta(self) -> Any:
        """As much of boto3's as error messages need."""

        class Model:
            service_name = "stepfunctions"

        class Meta:
            service_model = Model

        return Meta

    def start_execution(self, stateMachineArn: str, name: str, input: str) -> dict[str, str]:  # noqa: A002, N803 - boto3's words
        """The same name and input is the same execution while it runs, and an error when it has ended."""
        if stateMachineArn != self._arn:
            raise _refused("StateMachineDoesNotExist", stateMachineArn)
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,80}", name):
            raise _refused("InvalidName", name)
        same = [each for each in self.executions if each.name == name]
        if same and (same[0].status != "RUNNING" or same[0].input != json.loads(input)):
            raise _refused("ExecutionAlreadyExists", name)
        if not same:
            self.executions.append(Execution(name, json.loads(input)))
        return {"executionArn": f"{self._arn}:{name}"}

    def run(self) -> Execution:
        """Run what waits, and what that starts; the last one."""
        while waiting := [each for each in self.executions if each.status == "RUNNING"]:
            self._run(waiting[0])
        return self.executions[-1]

    def _run(self, execution: Execution) -> None:
        state, name = copy.deepcopy(execution.input), str(self._definition["StartAt"])
        while len(execution.states) < MAX_STATES:
            execution.states.append(name)
            step = self._definition["States"][name]
            unknown = set(step) - _FIELDS[step["Type"]] - {"Type", "Comment"}
            assert not unknown, f"{name}: {unknown} is not known here"
            assert len(json.dumps(state)) < MAX_STATE_BYTES, f"{name}: the state is too large"
            if step["Type"] == "Succeed":
                execution.status = "SUCCEEDED"
                return
            if step["Type"] == "Fail":
                execution.status = "FAILED"
                execution.error, execution.cause = look(state, step["ErrorPath"]), look(state, step["CausePath"])
                return
            state, name = self._step(step, state)
        raise AssertionError(f"{execution.name} does not end: {execution.states[-20:]}")

    def _step(self, step: dict[str, Any], state: Any) -> tuple[Any, str]:
        if step["Type"] == "Choice":
            found = (rule["Next"] for rule in step["Choices"] if _holds(rule, state))
            return state, next(found, step["Default"])
        if step["Type"] == "Wait":
            self._sleep(step["Seconds"] if "Seconds" in step else look(state, step["SecondsPath"]))
            return state, step["Next"]
        if step["Type"] == "Pass":
            given = look(state, step.get("InputPath", "$"))
            result = self._fill(step["Parameters"], given) if "Parameters" in step else given
            return _placed(state, step["ResultPath"], result), step["Next"]
        return self._tried(step, state)

    def _tried(self, step: dict[str, Any], state: Any) -> tuple[Any, str]:
        tries = [0] * len(step.get("Retry", []))
        while True:
            try:
                result = self._task(step["Resource"], self._fill(step["Parameters"], state))
                if "ResultSelector" in step:
                    result = self._fill(step["ResultSelector"], result)
                return _placed(state, step["ResultPath"], result), step["Next"]
            except TaskFailed as failure:
                if not self._again(step.get("Retry", []), tries, failure):
                    return _caught(step, state, failure)

    def _again(self, retries: list[dict[str, Any]], tries: list[int], failure: TaskFailed) -> bool:
        """Wait when one of the retriers wants another try; the first that matches decides."""
        for number, retry in enumerate(retries):
            if not _matches(retry["ErrorEquals"], failure.error):
                continue
            if tries[number] >= retry["MaxAttempts"]:
                return False
            pause = retry["IntervalSeconds"] * retry["BackoffRate"] ** tries[number]
            self._sleep(min(pause, retry.get("MaxDelaySeconds", pause)))
            tries[number] += 1
            return True
        return False

    def _fill(self, template: Any, state: Any) -> Any:
        """A payload template."""
        if isinstance(template, dict):
            return {
                key.removesuffix(".$"): self._value(value, state) if key.endswith(".$") else self._fill(value, state)
                for key, value in template.items()
            }
        return [self._fill(value, state) for value in template] if isinstance(template, list) else template

    def _value(self, text: str, state: Any) -> Any:
        call = _CALL.fullmatch(text)
        if call is None:
            return self._arn if text == "$$.StateMachine.Id" else copy.deepcopy(look(state, text))
        values = [self._argument(each.strip(), state) for each in call[2].split(",")]
        match call[1]:
            case "Format":
                return re.sub(r"\{\}", lambda _: str(values.pop(1)), values[0])
            case "MathAdd":
                return values[0] + values[1]
            case "ArrayGetItem":
                return values[0][values[1]]
            case "Array":
                return values
        raise AssertionError(f"{text} is not known here")

    def _argument(self, text: str, state: Any) -> Any:
        if text.startswith("'"):
            return text[1:-1]
        return int(text) if text.lstrip("-").isdigit() else self._value(text, state)


def look(state: Any, path: str) -> Any:
    """A reference path's value. Raises KeyError."""
    for part in path.split(".")[1:]:
        state = state[part]
    return state


def _placed(state: Any, path: str | None, result: Any) -> Any:
    if path is None:
        return state
    assert re.fullmatch(r"\$\.\w+", path), path
    return {**state, path[2:]: result}


def _holds(rule: dict[str, Any], state: Any) -> bool:
    try:
        value = look(state, rule["Variable"])
    except KeyError:
        assert "IsPresent" in rule, f"{rule['Variable']} is not there"
        return False
    match next(key for key in rule if key not in {"Variable", "Next"}):
        case "IsPresent":
            return bool(rule["IsPresent"])
        case "StringEquals":
            return bool(value == rule["StringEquals"])
        case "NumericGreaterThanEquals":
            return bool(value >= rule["NumericGreaterThanEquals"])
        case "NumericLessThanPath":
            return bool(value < look(state, rule["NumericLessThanPath"]))
    raise AssertionError(f"{rule} is not known here")


def _caught(step: dict[str, Any], state: Any, failure: TaskFailed) -> tuple[Any, str]:
    for catch in step["Catch"]:
        if _matches(catch["ErrorEquals"], failure.error):
            error = {"Error": failure.error, "Cause": failure.cause}
            return _placed(state, catch["ResultPath"], error), catch["Next"]
    raise AssertionError(f"nothing catches {failure.error}: {failure.cause}")


def _matches(names: list[str], error: str) -> bool:
    return error in names or "States.ALL" in names or "States.TaskFailed" in names


def _refused(code: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "StartExecution")
