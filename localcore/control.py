"""The adapter to awsiot for the command line: connecting, our own Control operation, and its errors as ours."""

from pathlib import Path
from typing import Any

import awsiot.eventstreamrpc as rpc
from awsiot.greengrasscoreipc import connect as ipc_connect
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
from linewatch_common.errors import LinewatchError

from localcore.errors import (
    ComponentNotFoundError,
    CoreNotRunningError,
    InvalidArgumentsError,
    IpcError,
    ResourceNotFoundError,
    ServiceError,
    UnauthorizedError,
)
from localcore.layout import Layout
from localcore.rpc import CONTROL_OPERATION

_TIMEOUT_S = 10.0
_ERRORS: dict[str, type[IpcError]] = {
    error.shape: error
    for error in (
        ServiceError,
        UnauthorizedError,
        InvalidArgumentsError,
        ResourceNotFoundError,
        ComponentNotFoundError,
    )
}


class _Document(rpc.Shape):  # type: ignore[misc]  # awsiot ships no types
    """A shape that is any JSON object."""

    def __init__(self, value: Any = None) -> None:
        super().__init__()
        self.value = value

    def _to_payload(self) -> Any:
        return self.value

    @classmethod
    def _from_payload(cls, payload: Any) -> "_Document":
        return cls(payload)


class _ControlRequest(_Document):
    @classmethod
    def _model_name(cls) -> str:
        return f"{CONTROL_OPERATION}Request"


class _ControlResponse(_Document):
    @classmethod
    def _model_name(cls) -> str:
        return f"{CONTROL_OPERATION}Response"


class _ControlOperation(rpc.ClientOperation):  # type: ignore[misc]  # as above
    @classmethod
    def _model_name(cls) -> str:
        return CONTROL_OPERATION

    @classmethod
    def _request_type(cls) -> type:
        return _ControlRequest

    @classmethod
    def _response_type(cls) -> type:
        return _ControlResponse


def connect(layout: Layout) -> Any:
    """A clientv2 connected with the command line's token. Raises CoreNotRunningError."""
    not_up = CoreNotRunningError(f"no core is up on {layout.root}: start one with `python -m localcore up`")
    try:
        token = layout.cli_token.read_text()
    except OSError as error:
        raise not_up from error
    try:
        return GreengrassCoreIPCClientV2(
            client=ipc_connect(ipc_socket=str(layout.socket), authtoken=token, timeout=_TIMEOUT_S)
        )
    except Exception as error:
        raise not_up from error


def call_control(client: Any, command: str, arguments: dict[str, Any]) -> Any:
    """Call the Control operation on a clientv2's connection; its result."""
    operation = client.client._new_operation(_ControlOperation)
    operation._activate(_ControlRequest({"command": command, "arguments": arguments})).result(_TIMEOUT_S)
    return operation._get_response().result(_TIMEOUT_S).value["result"]


def translate(error: Exception, root: Path) -> LinewatchError:
    """A failure of the client as one of ours."""
    if isinstance(error, LinewatchError):
        return error
    if isinstance(error, rpc.ErrorShape):
        kind = _ERRORS.get(error._model_name().rpartition("#")[2], ServiceError)
        return kind(getattr(error, "message", None) or repr(error))
    if isinstance(error, rpc.SerializeError | rpc.DeserializeError | rpc.UnmappedDataError):
        return ServiceError(f"the core's answer cannot be read: {error}")
    return CoreNotRunningError(f"{root}: the connection to the core is lost: {error or type(error).__name__}")
