"""The learner of a net, from the framework that it is written in."""

from importlib import import_module

from linewatch_common.errors import InputError

from model_build.nets.interface import Learner, Setup

_LEARNERS = {
    "torch": ("model_build.nets.pytorch.learner", "TorchLearner", ".venv-train"),
    "tensorflow": ("model_build.nets.keras.learner", "KerasLearner", ".venv-tensorflow"),
}


def learner_for(setup: Setup) -> Learner:
    """Make it. Raises InputError when this environment lacks the framework."""
    module, name, environment = _LEARNERS[setup.net.framework]
    try:
        made: Learner = getattr(import_module(module), name)(setup)
    except ModuleNotFoundError as error:
        raise InputError(
            f"net {setup.net.name!r} needs {setup.net.framework}, which lives in {environment}: {error}"
        ) from error
    return made
