"""The learner of a net, from the framework that it is written in."""

import os
from importlib import import_module

from linewatch_common.errors import InputError

from model_build.nets.interface import Learner, Setup

_LEARNERS = {
    "torch": ("model_build.nets.pytorch.learner", "TorchLearner", ".venv-train"),
    "tensorflow": ("model_build.nets.keras.learner", "KerasLearner", ".venv-tensorflow"),
}
# Nets that learn otherwise than the others of their framework.
_OWN = {"anomaly": ("model_build.nets.pytorch.anomaly_learner", "AnomalyLearner", ".venv-train")}


# OpenMP's threads wait for each other asleep instead of spinning. Beside other work on 2 cores a step of our net took 13 s with spinning
# threads and 2.4 s with sleeping ones. Read when the framework is imported.
_WAITING = ("OMP_WAIT_POLICY", "PASSIVE")


def learner_for(setup: Setup) -> Learner:
    """Make it. Raises InputError when this environment lacks the framework."""
    os.environ.setdefault(*_WAITING)
    module, name, environment = _OWN.get(setup.net.name, _LEARNERS[setup.net.framework])
    try:
        made: Learner = getattr(import_module(module), name)(setup)
    except ModuleNotFoundError as error:
        raise InputError(
            f"net {setup.net.name!r} needs {setup.net.framework}, which lives in {environment}: {error}"
        ) from error
    return made
