"""What each artefact holds: the one place that says which lock file and which first-party packages go into it."""

import re
from dataclasses import dataclass

MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Architecture:
    """A processor as Greengrass names it, and the wheels that are good for it. `machine` is the kernel's name."""

    name: str
    machine: str

    def platform(self, glibc: str) -> str:
        """The installer's name of this processor with that C library, e.g. x86_64-manylinux_2_28."""
        return f"{self.machine}-manylinux_{glibc.replace('.', '_')}"


ARCHITECTURES = {a.name: a for a in (Architecture("amd64", "x86_64"), Architecture("aarch64", "aarch64"))}

# Debian 11 and later, Ubuntu 20.04 and later, Amazon Linux 2023, Yocto since 2020 have it.
GLIBC = "2.28"


@dataclass(frozen=True, slots=True)
class Artefact:
    """One component's zip. `packages` are first-party; the last one is the component's own and holds `__main__`.

    `group` names the lock file; `installs` says that the component has an install step of its own; `model` names the folder under
    components/models/ whose package goes in; `glibc` names architectures whose wheels need a later C library than the others.
    """

    component: str
    stem: str
    group: str
    packages: tuple[str, ...]
    limit_mb: int = 95
    installs: bool = False
    model: str | None = None
    glibc: tuple[tuple[str, str], ...] = ()

    @property
    def module(self) -> str:
        """What `python -m` starts."""
        return self.packages[-1]

    def glibc_for(self, architecture: str) -> str:
        """The C library that every packed wheel runs with."""
        return dict(self.glibc).get(architecture, GLIBC)

    def zip_name(self, architecture: str) -> str:
        """The artefact's file name, as the recipe's Uri ends."""
        return f"{self.stem}-{architecture}.zip"


MODEL_PREFIX = "com.linewatch.model."


def model_artefact(model: str) -> Artefact:
    """The artefact of a model component, whatever the model is called."""
    stem = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", model).lower()
    return Artefact(
        MODEL_PREFIX + model, stem, "model", ("linewatch_common", "linewatch_model"), installs=True, model=model
    )


ARTEFACTS = (
    Artefact("com.linewatch.Camera", "camera", "camera", ("linewatch_common", "linewatch_camera")),
    Artefact(
        "com.linewatch.EdgeAgent",
        "agent",
        "agent",
        # linewatch_vision without OpenCV: golden sets, and preparing a picture by numpy with the same bytes.
        ("linewatch_common", "linewatch_vision", "linewatch_agent_api", "linewatch_agent"),
        limit_mb=130,
        glibc=(("aarch64", "2.35"),),  # OpenVINO's aarch64 wheel: Ubuntu 22.04, Debian 12 or later
    ),
    Artefact(
        "com.linewatch.Inspector",
        "inspector",
        "inspector",
        ("linewatch_common", "linewatch_vision", "linewatch_agent_api", "linewatch_inspector"),
    ),
    Artefact("com.linewatch.Dashboard", "dashboard", "dashboard", ("linewatch_common", "linewatch_dashboard")),
    model_artefact("SurfaceClassifier"),
    model_artefact("SurfaceSegmenter"),
    model_artefact("SurfaceInspector"),  # one net for both roles, instead of the two above
)


def artefact_of(component: str) -> Artefact:
    """The table's row of a component; every model component has one. Raises KeyError."""
    if component.startswith(MODEL_PREFIX):
        return model_artefact(component.removeprefix(MODEL_PREFIX))
    return {artefact.component: artefact for artefact in ARTEFACTS}[component]
