"""What the agent's refusals become for its client."""

from linewatch_common.errors import InputError

# Trailing metadata of a refusal that no waiting changes, though its status alone means "try later".
RETRY_KEY, NEVER = "linewatch-retry", "never"


class AgentRefusedError(InputError):
    """The agent answered, and refuses this request: repeating it as it is does not help.

    `code` is the name of the gRPC status, e.g. "INVALID_ARGUMENT"; the message is the agent's own.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class NotFoundError(AgentRefusedError):
    """NOT_FOUND: the agent has no such model or capture, or nothing lies at the url."""


class AlreadyExistsError(AgentRefusedError):
    """ALREADY_EXISTS: a model of this name is loaded (or a capture of this id was taken)."""


class AgentFullError(AgentRefusedError):
    """RESOURCE_EXHAUSTED: the memory budget or the capture buffer is used up; free some, or try later."""


class TooLargeError(AgentFullError):
    """RESOURCE_EXHAUSTED: the request is larger than the agent ever takes; the same again is refused again."""


_BY_CODE: dict[str, type[AgentRefusedError]] = {
    "NOT_FOUND": NotFoundError,
    "ALREADY_EXISTS": AlreadyExistsError,
    "RESOURCE_EXHAUSTED": AgentFullError,
}


def refused(code: str, message: str, *, never: bool = False) -> AgentRefusedError:
    """The error for a status that is neither OK nor 'away'. `never`: the agent says that no waiting changes it."""
    if never and code == "RESOURCE_EXHAUSTED":
        return TooLargeError(code, message)
    return _BY_CODE.get(code, AgentRefusedError)(code, message)
