"""What differs between the two Greengrass runtimes, as data: the one place for each limit and habit."""

import platform
from dataclasses import dataclass

CLASSIC = "classic"
LITE = "lite"

KIB = 1024
_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "aarch64", "arm64": "aarch64"}


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes and counts; None where the runtime sets none."""

    packet_bytes: int
    iot_received_bytes: int
    topic_characters: int = 256
    recipe_bytes: int | None = None
    leaf_bytes: int | None = None
    variable_characters: int | None = None
    components: int | None = None
    clients: int | None = None
    subscriptions: int | None = None
    access_control_bytes: int | None = None
    json_list_items: int | None = None
    json_keys: int | None = None
    json_depth: int | None = None


@dataclass(frozen=True, slots=True)
class Runtime:
    """One runtime's name, limits and habits."""

    name: str
    version: str
    limits: Limits
    operations_refused: frozenset[str]
    case_sensitive_keys: bool
    npm_requirements: bool
    truncates_at_braces: bool
    escapes_variables: bool
    work_path_slash: bool
    unarchives_locally: bool
    wildcard_publish: bool
    map_updates_only: bool
    default_dependency_type: str
    stop_timeout_s: float
    step_timeout_s: float = 120.0  # install, on both

    @property
    def is_lite(self) -> bool:
        """Whether this is Greengrass Nucleus Lite."""
        return self.name == LITE

    def platform(self) -> dict[str, str]:
        """The attributes that a recipe's Platform is matched with."""
        attributes = {"os": "linux", "architecture": host_architecture()}
        if self.is_lite:
            attributes["runtime"] = "aws_nucleus_lite"
        return attributes


def host_architecture() -> str:
    """This machine's architecture in Greengrass's words (amd64, aarch64)."""
    machine = platform.machine().lower()
    return _ARCHITECTURES.get(machine, machine)


# Served by no local core: plugins or cloud services.
_REFUSED_BY_BOTH = frozenset(
    {
        "AuthorizeClientDeviceAction",
        "CreateDebugPassword",
        "DeferComponentUpdate",
        "DeleteThingShadow",
        "GetClientDeviceAuthToken",
        "GetSecretValue",
        "GetThingShadow",
        "ListNamedShadowsForThing",
        "PauseComponent",
        "PutComponentMetric",
        "ResumeComponent",
        "SendConfigurationValidityReport",
        "SubscribeToCertificateUpdates",
        "SubscribeToComponentUpdates",
        "SubscribeToValidateConfigurationUpdates",
        "UpdateThingShadow",
        "VerifyClientDeviceIdentity",
    }
)
_REFUSED_BY_LITE = frozenset(
    {"ListComponents", "GetComponentDetails", "StopComponent", "GetLocalDeploymentStatus", "ListLocalDeployments"}
)

_CLASSIC = Runtime(
    name=CLASSIC,
    version="2.15.0",
    limits=Limits(packet_bytes=16 * KIB * KIB, iot_received_bytes=128 * KIB),
    operations_refused=_REFUSED_BY_BOTH,
    case_sensitive_keys=False,
    npm_requirements=True,
    truncates_at_braces=False,
    escapes_variables=False,
    work_path_slash=False,
    unarchives_locally=True,
    wildcard_publish=False,
    map_updates_only=True,
    default_dependency_type="HARD",
    stop_timeout_s=15.0,
)
_LITE = Runtime(
    name=LITE,
    version="2.6.0",
    limits=Limits(
        packet_bytes=10_000,
        iot_received_bytes=4_980,
        recipe_bytes=8_196,
        leaf_bytes=1_022,
        variable_characters=256,
        components=50,
        clients=50,
        subscriptions=99,
        access_control_bytes=4 * KIB,
        json_list_items=42,
        json_keys=23,
        json_depth=6,
    ),
    operations_refused=_REFUSED_BY_BOTH | _REFUSED_BY_LITE,
    case_sensitive_keys=True,
    npm_requirements=False,
    truncates_at_braces=True,
    escapes_variables=True,
    work_path_slash=True,
    unarchives_locally=False,
    wildcard_publish=True,
    map_updates_only=False,
    default_dependency_type="NONE",
    stop_timeout_s=15.0,
)

RUNTIMES = {CLASSIC: _CLASSIC, LITE: _LITE}
