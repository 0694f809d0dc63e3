"""What can go wrong with a deployment to a fleet, by what the fleet manager does about it. `exit_code` is the command line's."""

from linewatch_common.errors import InputError, LinewatchError, UnavailableError


class FleetError(LinewatchError):
    """Base: the step did not happen; the message says why and what to do."""

    exit_code = 1


class FleetInputError(FleetError, InputError):
    """A wrong configuration file, release or name: nothing was done."""


class HeldError(FleetError):
    """The gate could not decide in its time: the ring stays as it is, a person decides."""

    exit_code = 3


class RolledBackError(FleetError):
    """A gate refused the release, and what was touched has its previous components again."""

    exit_code = 4


class ForeignRevisionError(FleetError):
    """Somebody else deployed to a group in between: nothing of theirs is overwritten, a person decides."""

    exit_code = 5


class RunningAlreadyError(FleetError):
    """Another deployment is not finished: finish it or take it back first."""

    exit_code = 6


class CredentialsError(FleetError):
    """AWS refuses the credentials (missing, expired, not allowed): renew them, the same command goes on."""

    exit_code = 7


class CloudUnavailableError(FleetError, UnavailableError):
    """AWS throttles or does not answer, to the end of our patience: the same command goes on later."""

    exit_code = 8


class NotFoundError(FleetInputError):
    """What was named does not exist: a thing group, a component version, a fleet."""


class ConflictError(FleetError):
    """It exists already, or changed since it was read."""


class InterruptedDeploymentError(FleetError):
    """Ctrl-C: everything that was begun is recorded, the same command goes on."""

    exit_code = 130
