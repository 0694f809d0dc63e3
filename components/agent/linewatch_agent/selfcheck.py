"""Whether the artefact holds what the agent needs; writes nothing."""

import importlib

# What the agent loads later than at its start, or through its clients.
LATE_IMPORTS = (
    "awsiot.greengrasscoreipc.clientv2",
    "boto3",
    "grpc",
    "linewatch_agent.captures.s3",
    "linewatch_agent_api.client",
    "linewatch_vision.golden",
    "linewatch_vision.preparation",
    "numpy",
    "openvino",
)


def selfcheck() -> str:
    """One line that says what was found. Raises ImportError."""
    for name in LATE_IMPORTS:
        importlib.import_module(name)
    import grpc  # noqa: PLC0415 - its version, once it is known to be there
    import openvino  # noqa: PLC0415 - likewise

    devices = ", ".join(openvino.Core().available_devices)
    return f"OK linewatch_agent: openvino {openvino.__version__.split('-')[0]} ({devices}), grpc {grpc.__version__}"
