"""Our errors, ordered by what the caller should do.

Only adapters raise these in place of a foreign exception; everything above an adapter sees nothing else. A message is one line that
names what failed, where, and why.
"""


class LinewatchError(Exception):
    """Base of every error that linewatch raises on purpose."""


class ConfigError(LinewatchError):
    """The configuration is wrong: tell the person who wrote it. The process cannot start with it."""


class InputError(LinewatchError):
    """This one input (a picture, a message, a request) is bad: report it, count it, go on with the next."""


class MessageError(InputError):
    """A message is unreadable, of an unknown schema, or too large to send."""


class PackageError(InputError):
    """A model package is not what its manifest says: refuse it, keep what runs."""


class UnavailableError(LinewatchError):
    """A peer or device is away (agent, camera, core, disk): retry with back-off, in this process."""


class BusUnavailableError(UnavailableError):
    """The local bus is not connected at the moment; the message was not sent."""


class AgentUnavailableError(UnavailableError):
    """The edge agent does not answer on its socket."""


class StorageError(UnavailableError):
    """A disk or a shared-memory file system refuses a write (full, read-only, gone)."""


class NotAuthorizedError(LinewatchError):
    """The core refuses the operation: the recipe's accessControl does not admit it. Retrying does not help."""


class DeadTokenError(LinewatchError):
    """The core refuses this process's token: exit non-zero, a fresh token comes with the restart."""


class CorruptStateError(LinewatchError):
    """Our own durable state cannot be read: exit non-zero and let a person look."""
