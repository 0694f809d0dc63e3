"""The state machine, written from this table into release.asl.json: `python -m model_build infrastructure machine`.

One loop carries a release through the rings: start, poll, judge, wait. Each of these is safe to repeat, so the loop can be entered again
anywhere: by a retry, by a redrive, or by the next chapter, a new execution that goes on before this one's history is full.
"""

import json
from typing import Any

State = dict[str, Any]

MAX_HISTORY_EVENTS = 25_000  # of one execution, by Step Functions
MAX_TURNS = 120  # of the loop in one chapter; tests count what a turn can cost at most
_BUILD_POLL_SECONDS = 30
_JOB_SECONDS = 3600
# Neo takes minutes; each look waits longer than the last one, for an hour in all.
_COMPILE_WAIT, _LONGEST_COMPILE_WAIT = 15, 300
_TASK_SECONDS = 330  # a function ends after 300
_A_FORTNIGHT = 14 * 24 * 3600
_INSTANCE, _VOLUME_GB = "ml.m5.large", 20

# Functions that fail for a while. Names of our own errors are the classes' (model_build.fleet.errors).
_RETRY: list[State] = [
    {
        "ErrorEquals": ["Lambda.ServiceException", "Lambda.AWSLambdaException", "Lambda.SdkClientException"],
        "IntervalSeconds": 5,
        "MaxAttempts": 5,
        "BackoffRate": 2,
    },
    {
        "ErrorEquals": ["CloudUnavailableError", "Lambda.TooManyRequestsException"],
        "IntervalSeconds": 30,
        "MaxAttempts": 6,
        "BackoffRate": 2,
        "MaxDelaySeconds": 600,
    },
    {"ErrorEquals": ["CredentialsError"], "IntervalSeconds": 60, "MaxAttempts": 2, "BackoffRate": 2},
]
# The fleet belongs to another release until it is done: a day of patience.
_BUSY: State = {"ErrorEquals": ["RunningAlreadyError"], "IntervalSeconds": 300, "MaxAttempts": 288, "BackoffRate": 1}
_SAGEMAKER_RETRY: State = {
    "ErrorEquals": ["SageMaker.ThrottlingException", "SageMaker.SageMakerException"],
    "IntervalSeconds": 10,
    "MaxAttempts": 6,
    "BackoffRate": 2,
}
_FAILED = {"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Touched"}
_FOREIGN = {"ErrorEquals": ["ForeignRevisionError"], "ResultPath": "$.error", "Next": "Foreign"}
_NOT_RESTORED = {"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Incomplete"}


def definition() -> State:
    """The whole state machine, with `${...}` where the template puts in what it made."""
    return {
        "Comment": "From an approved model to the fleet. Written by model_build/infrastructure/machine.py.",
        "StartAt": "Entry",
        "TimeoutSeconds": _A_FORTNIGHT,
        "States": {**_beginning(), **_rings(), **_turning(), **_undoing(), **_ending()},
    }


def text() -> bytes:
    """As the file; the same from run to run."""
    return json.dumps(definition(), indent=1).encode() + b"\n"


def _beginning() -> dict[str, State]:
    return {
        "Entry": _choice([(_present("$.rollback"), "PollRollback"), (_present("$.fleet"), "StartRing")], "Admit"),
        "Admit": _call("AdmitFunction", {"release.$": "$.release"}, "$.admitted", "CompileFirst"),
        **_compiling(),
        "Build": _job("$.admitted.job", "$.with.arguments", "LookAtBuild", "WaitForBuild"),
        "WaitForBuild": {"Type": "Wait", "Seconds": _BUILD_POLL_SECONDS, "Next": "LookAtBuild"},
        "LookAtBuild": _look(
            "ProcessingJob", "$.admitted.job", {"status.$": "$.ProcessingJobStatus"}, "$.build", "Built"
        ),
        "Built": _ended("Publish", "WaitForBuild"),
        "NotBuilt": _set(
            "$.error",
            {"Error": "BuildRefused", "Cause.$": "States.Format('job of {} {}', $.release, $.build.status)"},
            "Touched",
        ),
        "Publish": _call("PublishFunction", {"release.$": "$.release"}, "$.published", "Plan"),
        "Plan": _step(
            "plan",
            {"component.$": "$.admitted.component", "version.$": "$.admitted.version"},
            "$.fleet",
            "FirstRing",
            retry=[_BUSY],
        ),
    }


def _ended(after: str, wait: str) -> State:
    """Where a job of the build leads: on, to the end with its reason, or back to waiting."""
    ends = (("Completed", after), ("Failed", "NotBuilt"), ("Stopped", "NotBuilt"))
    return _choice([(_equals("$.build.status", status), where) for status, where in ends], wait)


def _compiling() -> dict[str, State]:
    """Behind a flag: Neo compiles the approved model, and the build judges the result by the same gate before it signs it.

    Without a result the approved model is built as it is, and the outcome says why.
    """
    ended = "$.compile.name, $.compiled.job.CompilationJobStatus"
    refused = {"note.$": f"States.Format('Neo: job {{}} {{}}: the approved model goes on as it is', {ended})"}
    return {
        "CompileFirst": _choice([(_equals("$.admitted.compile", "yes"), "Source")], "BuildApproved"),
        "BuildApproved": _set("$.with", {"arguments.$": "States.Array('--release', $.release)"}, "Build"),
        "Source": _job(
            "$.admitted.source_job", "States.Array('--release', $.release, '--source')", "LookAtSource", "WaitForSource"
        ),
        "WaitForSource": {"Type": "Wait", "Seconds": _BUILD_POLL_SECONDS, "Next": "LookAtSource"},
        "LookAtSource": _look(
            "ProcessingJob", "$.admitted.source_job", {"status.$": "$.ProcessingJobStatus"}, "$.build", "Sourced"
        ),
        "Sourced": _ended("Request", "WaitForSource"),
        "Request": _call("CompilationFunction", {"release.$": "$.release"}, "$.compile", "Requested"),
        "Requested": _choice([(_equals("$.compile.wanted", "yes"), "Compile")], "BuildApproved"),
        "Compile": _compile(),
        "CompileSoon": _set("$.look", {"seconds": _COMPILE_WAIT}, "WaitForCompile"),
        "WaitForCompile": {"Type": "Wait", "SecondsPath": "$.look.seconds", "Next": "LookAtCompile"},
        "LookAtCompile": _look(
            "CompilationJob",
            "$.compile.name",
            {"job.$": "$"},  # before its end not every field is there
            "$.compiled",
            "Compiled",
        ),
        "Compiled": _choice(
            [
                (_equals("$.compiled.job.CompilationJobStatus", "COMPLETED"), "BuildCompiled"),
                (_equals("$.compiled.job.CompilationJobStatus", "FAILED"), "NotCompiled"),
                (_equals("$.compiled.job.CompilationJobStatus", "STOPPED"), "NotCompiled"),
                (
                    {"Variable": "$.look.seconds", "NumericGreaterThanEquals": _LONGEST_COMPILE_WAIT},
                    "NotCompiled",
                ),
            ],
            "CompileLater",
        ),
        "CompileLater": _set(
            "$.look",
            {"seconds.$": f"States.MathAdd($.look.seconds, {_COMPILE_WAIT})"},
            "WaitForCompile",
        ),
        "NotCompiled": _set("$.compile", refused, "BuildApproved"),
        "BuildCompiled": _set(
            "$.with",
            {
                "arguments.$": "States.Array('--release', $.release, '--compiled', $.compiled.job.ModelArtifacts.S3ModelArtifacts)"
            },
            "Build",
        ),
    }


def _compile() -> State:
    return {
        "Type": "Task",
        "Resource": _service("aws-sdk:sagemaker:createCompilationJob"),
        "Parameters": {
            "CompilationJobName.$": "$.compile.name",
            "RoleArn": "${CompilationRole}",
            "InputConfig": {
                "S3Uri.$": "$.compile.input",
                "DataInputConfig.$": "$.compile.shapes",
                "Framework": "ONNX",
            },
            "OutputConfig": {
                "S3OutputLocation.$": "$.compile.output",
                "TargetPlatform": {"Os": "LINUX", "Arch": "${NeoArchitecture}"},
            },
            "StoppingCondition": {"MaxRuntimeInSeconds.$": "$.compile.limit"},
        },
        "ResultPath": None,
        "Retry": [_SAGEMAKER_RETRY],
        "Catch": [
            {"ErrorEquals": ["SageMaker.ResourceInUseException"], "ResultPath": None, "Next": "CompileSoon"},
            _FAILED,
        ],
        "Next": "CompileSoon",
    }


def _look(kind: str, name: str, selected: State, result: str, then: str) -> State:
    """How a job of SageMaker is."""
    return {
        "Type": "Task",
        "Resource": _service(f"aws-sdk:sagemaker:describe{kind}"),
        "Parameters": {f"{kind}Name.$": name},
        "ResultSelector": selected,
        "ResultPath": result,
        "Retry": [_SAGEMAKER_RETRY],
        "Catch": [_FAILED],
        "Next": then,
    }


def _job(name: str, arguments: str, look: str, wait: str) -> State:
    """Heavy work has an image and a machine of its own; the same name again is the same job."""
    return {
        "Type": "Task",
        "Resource": _service("aws-sdk:sagemaker:createProcessingJob"),
        "Parameters": {
            "ProcessingJobName.$": name,
            "RoleArn": "${JobRole}",
            "AppSpecification": {
                "ImageUri": "${JobImage}",
                "ContainerEntrypoint": ["python3.11", "-m", "model_build.infrastructure.job"],
                "ContainerArguments.$": arguments,
            },
            "Environment": {
                "AWS_DEFAULT_REGION": "${Region}",  # SageMaker tells a container of no region that boto3 looks for
                "LINEWATCH_FLEET_BUCKET": "${FleetBucket}",
                "LINEWATCH_COMPONENT_BUCKET": "${ComponentBucket}",
                "LINEWATCH_SIGNING_KEY": "${SigningKey}",
            },
            "ProcessingResources": {
                "ClusterConfig": {"InstanceCount": 1, "InstanceType": _INSTANCE, "VolumeSizeInGB": _VOLUME_GB}
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": _JOB_SECONDS},
        },
        "ResultPath": None,
        "Retry": [_SAGEMAKER_RETRY],
        "Catch": [
            {"ErrorEquals": ["SageMaker.ResourceInUseException"], "ResultPath": None, "Next": look},
            _FAILED,
        ],
        "Next": wait,
    }


def _rings() -> dict[str, State]:
    of_ring = {"plan.$": "$.fleet.plan", "ring.$": "$.ring", "turns.$": "$.count.n"}
    return {
        "FirstRing": _set("$.index", {"n": 0}, "NameRing"),
        "NameRing": {
            "Type": "Pass",
            "Parameters": {"name.$": "States.ArrayGetItem($.fleet.rings, $.index.n)"},
            "ResultPath": "$.named",
            "Next": "KeepRing",
        },
        "KeepRing": {"Type": "Pass", "InputPath": "$.named.name", "ResultPath": "$.ring", "Next": "StartRing"},
        "StartRing": _step("start", of_ring, "$.step", "Started", catch=[_FOREIGN]),
        "Started": _choice([(_equals("$.step.status", "waiting"), "Wait")], "PollRing"),
        "PollRing": _step("poll", of_ring, "$.step", "Installed", catch=[_FOREIGN]),
        "Installed": _choice([(_equals("$.step.status", "installing"), "Wait")], "JudgeRing"),
        "JudgeRing": _step("judge", of_ring, "$.step", "Judged", catch=[_FOREIGN]),
        "Judged": _choice(
            [
                (_equals("$.step.decision", "pass"), "NextRing"),
                (_equals("$.step.decision", "wait"), "Wait"),
                (_equals("$.step.decision", "hold"), "Held"),
            ],
            "GateFailed",
        ),
        "GateFailed": _set("$.error", {"Error": "GateFailed", "Cause.$": "$.step.reason"}, "RollBack"),
        "NextRing": _set("$.index", {"n.$": "States.MathAdd($.index.n, 1)"}, "MoreRings"),
        "MoreRings": _choice(
            [({"Variable": "$.index.n", "NumericLessThanPath": "$.fleet.count"}, "NameRing")], "Finish"
        ),
        "Finish": _step("finish", {"plan.$": "$.fleet.plan"}, "$.step", "Deployed"),
    }


def _turning() -> dict[str, State]:
    counted = {"chapter.$": "$.count.chapter", "n.$": "States.MathAdd($.count.n, 1)"}
    return {
        "Wait": {"Type": "Wait", "SecondsPath": "$.step.wait_seconds", "Next": "Turn"},
        "Turn": _set("$.count", counted, "HistoryFull"),
        "HistoryFull": _choice(
            [({"Variable": "$.count.n", "NumericGreaterThanEquals": MAX_TURNS}, "NextChapter")], "Entry"
        ),
        "NextChapter": _set("$.count", {"n": 0, "chapter.$": "States.MathAdd($.count.chapter, 1)"}, "GoOn"),
        "GoOn": {
            "Type": "Task",
            "Resource": _service("states:startExecution"),
            "Parameters": {
                "StateMachineArn.$": "$$.StateMachine.Id",
                "Name.$": "States.Format('{}-{}', $.release, $.count.chapter)",
                "Input.$": "$",
            },
            "ResultPath": None,
            "Retry": [{"ErrorEquals": ["States.TaskFailed"], "IntervalSeconds": 5, "MaxAttempts": 5, "BackoffRate": 2}],
            "Catch": [_FAILED],
            "Next": "GoesOn",
        },
        "GoesOn": {"Type": "Succeed"},
    }


def _undoing() -> dict[str, State]:
    plan = {"plan.$": "$.fleet.plan"}
    return {
        "Touched": _choice([(_present("$.fleet"), "RollBack")], "Refused"),
        "RollBack": _step(
            "roll_back", {**plan, "reason.$": "$.error.Cause"}, "$.rollback", "PollRollback", catch=[_NOT_RESTORED]
        ),
        "PollRollback": _step(
            "poll_rollback", {**plan, "turns.$": "$.count.n"}, "$.step", "Restored", catch=[_NOT_RESTORED]
        ),
        "Restored": _choice([(_equals("$.step.status", "installing"), "Wait")], "RolledBack"),
    }


def _ending() -> dict[str, State]:
    ends = {
        "Deployed": "deployed",
        "Refused": "refused",
        "RolledBack": "rolled back",
        "Held": "held",
        "Foreign": "foreign revision",
        "Incomplete": "incomplete",
    }
    report = _call("ReportFunction", {"status.$": "$.ended.status", "state.$": "$"}, "$.outcome", "Ended")
    report["Catch"] = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.outcome", "Next": "Unreported"}]
    return {
        **{name: _set("$.ended", {"status": status}, "Report") for name, status in ends.items()},
        "Report": report,
        "Ended": _choice([(_equals("$.outcome.status", "deployed"), "Done")], "Failed"),
        "Done": {"Type": "Succeed"},
        "Failed": {"Type": "Fail", "ErrorPath": "$.outcome.error", "CausePath": "$.outcome.reason"},
        "Unreported": {"Type": "Fail", "ErrorPath": "$.outcome.Error", "CausePath": "$.outcome.Cause"},
    }


def _service(what: str) -> str:
    """A call of Step Functions itself, in the partition of the account."""
    return f"arn:${{Partition}}:states:::{what}"


def _call(function: str, payload: State, result: str, then: str) -> State:
    """By the function's ARN: its answer is the result, and its error's name the class's."""
    return {
        "Type": "Task",
        "Resource": f"${{{function}}}",
        "Parameters": payload,
        "ResultPath": result,
        "TimeoutSeconds": _TASK_SECONDS,
        "Retry": list(_RETRY),
        "Catch": [_FAILED],
        "Next": then,
    }


def _step(
    what: str,
    payload: State,
    result: str,
    then: str,
    *,
    retry: list[State] | None = None,
    catch: list[State] | None = None,
) -> State:
    task = _call("FleetFunction", {"do": what, **payload}, result, then)
    task["Retry"] = [*(retry or []), *_RETRY]
    task["Catch"] = [*(catch or []), _FAILED] if _NOT_RESTORED not in (catch or []) else [_NOT_RESTORED]
    return task


def _choice(cases: list[tuple[State, str]], otherwise: str) -> State:
    return {"Type": "Choice", "Choices": [{**test, "Next": then} for test, then in cases], "Default": otherwise}


def _present(path: str) -> State:
    return {"Variable": path, "IsPresent": True}


def _equals(path: str, value: str) -> State:
    return {"Variable": path, "StringEquals": value}


def _set(path: str, value: State, then: str) -> State:
    return {"Type": "Pass", "Parameters": value, "ResultPath": path, "Next": then}
