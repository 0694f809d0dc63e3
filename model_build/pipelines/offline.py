"""Writes a definition in a process of its own, with an environment in which the SageMaker SDK needs no AWS."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from linewatch_common.errors import InputError

from model_build.pipelines.plans import PipelinePlan, Place
from model_build.pipelines.source import CHECKOUT

ENVIRONMENT = CHECKOUT / ".venv-sagemaker"
_CONFIG = Path(__file__).with_name("sagemaker.yaml")
EMIT_S = 900  # ten seconds, nearly all of it the import of the SDK; many times that where others compute


def emitted(
    plans: Sequence[PipelinePlan],
    place: Place,
    digest: str,
    environment: Mapping[str, str],
    *,
    timeout_s: float = EMIT_S,
) -> list[str]:
    """A definition each, as JSON. `digest`: of the source archive that the jobs run.

    Raises InputError, with the reason, when the SDK is not installed, refuses something or takes longer than `timeout_s`.
    """
    with TemporaryDirectory() as work:
        command = [_python(), "-m", "model_build.pipelines.emit", work, place.region, place.bucket, place.role, digest]
        try:
            done = subprocess.run(
                [*command, *(plan.name for plan in plans)],
                env=settled(environment, place),
                capture_output=True,
                text=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise InputError(f"definition: the SageMaker SDK gave none within {timeout_s:g} s") from error
        if done.returncode != 0:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise InputError(f"definition: {reason} (`make {ENVIRONMENT.name}/.installed` sets the SDK up)")
        return [(Path(work) / f"{plan.name}.json").read_text() for plan in plans]


def settled(environment: Mapping[str, str], place: Place) -> dict[str, str]:
    """`environment`, changed so that importing and using the SDK opens no socket and finds no other settings.

    The SDK makes a client at import (it needs a region), looks for credentials and a role (IAM, instance metadata), and reports its
    use unless a configuration file forbids it.
    """
    kept = {name: value for name, value in environment.items() if not name.startswith(("AWS_", "SAGEMAKER_"))}
    return kept | {
        "PYTHONPATH": os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "components/common"), kept.get("PYTHONPATH", "")]),
        "AWS_DEFAULT_REGION": place.region,
        "AWS_ACCESS_KEY_ID": "offline",
        "AWS_SECRET_ACCESS_KEY": "offline",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "SAGEMAKER_VALIDATE_ROLE": "false",
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(_CONFIG),
        "SAGEMAKER_ADMIN_CONFIG_OVERRIDE": str(_CONFIG),
    }


def _python() -> str:
    """This one when it has the SDK, else the checkout's environment that has."""
    other = ENVIRONMENT / "bin/python"
    return str(other) if find_spec("sagemaker") is None and other.exists() else sys.executable
