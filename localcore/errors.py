"""The local core's errors, on top of linewatch_common's tree: what a person did wrong, and what an IPC client is told."""

from linewatch_common.errors import ConfigError, InputError, LinewatchError, UnavailableError


class CoreNotRunningError(UnavailableError):
    """No core serves this root: start one with `python -m localcore up`."""


class CoreStartError(LinewatchError):
    """The core cannot start: another one runs on this root, the socket's path is too long, the root belongs to the other runtime."""


class RecipeError(ConfigError):
    """A recipe the runtime would refuse; the message names the file and the reason."""


class RequirementError(ConfigError):
    """A version or a version requirement that this runtime cannot read."""


class DeploymentError(LinewatchError):
    """A deployment fails for this reason."""


class ProtocolError(InputError):
    """A peer broke the event-stream protocol: its connection is closed."""


class IpcError(LinewatchError):
    """An operation answers with an error; `shape` is its name on the wire."""

    shape = "ServiceError"


class ServiceError(IpcError):
    """The runtime does not serve this, or cannot now."""


class UnauthorizedError(IpcError):
    """The component's accessControl does not admit the request."""

    shape = "UnauthorizedError"


class InvalidArgumentsError(IpcError):
    """The request itself is wrong."""

    shape = "InvalidArgumentsError"


class ResourceNotFoundError(IpcError):
    """What the request names is not there."""

    shape = "ResourceNotFoundError"


class ComponentNotFoundError(IpcError):
    """No such component on this core."""

    shape = "ComponentNotFoundError"


class FailedUpdateConditionCheckError(IpcError):
    """A newer value is already stored."""

    shape = "FailedUpdateConditionCheckError"


class InvalidRecipeDirectoryError(IpcError):
    """The deployment's folder of recipes cannot be read."""

    shape = "InvalidRecipeDirectoryPathError"


class InvalidArtifactsDirectoryError(IpcError):
    """The deployment's folder of artefacts cannot be read."""

    shape = "InvalidArtifactsDirectoryPathError"
