"""accessControl: what a component may publish and subscribe to, from its merged configuration.

Only `*` is a wildcard in a resource; `+` and `#` are literal characters. For mqttproxy a resource may also be an MQTT filter.
`${*}` stands for a literal character.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from localcore.errors import DeploymentError, UnauthorizedError
from localcore.topics import matches

PUBSUB = "aws.greengrass.ipc.pubsub"
MQTTPROXY = "aws.greengrass.ipc.mqttproxy"

_ESCAPE = re.compile(r"\$\{(.)\}|(\*)|([^*$]+|\$)")


@dataclass(frozen=True, slots=True)
class Policy:
    """One entry of accessControl: operations and the resources they are allowed on."""

    operations: frozenset[str]
    resources: tuple[str, ...]


def read_policies(configuration: Mapping[str, Any], service: str) -> tuple[Policy, ...]:
    """The policies of `service` in a component's configuration; malformed ones grant nothing."""
    control = configuration.get("accessControl")
    entries = control.get(service) if isinstance(control, Mapping) else None
    if not isinstance(entries, Mapping):
        return ()
    return tuple(_read_policy(entry) for entry in entries.values() if isinstance(entry, Mapping))


def _read_policy(entry: Mapping[str, Any]) -> Policy:
    return Policy(frozenset(_strings(entry.get("operations"))), tuple(_strings(entry.get("resources"))))


def _strings(value: object) -> Iterable[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def authorize(
    policies: Iterable[Policy], operation: str, resource: str, *, mqtt: bool, substitute: Callable[[str], str]
) -> None:
    """Return when a policy admits `operation` on `resource`.

    `substitute` resolves recipe variables in a policy's resource. Raises UnauthorizedError.
    """
    for policy in policies:
        if policy.operations.isdisjoint((operation, "*")):
            continue
        if any(_admits(substitute(allowed), resource, mqtt=mqtt) for allowed in policy.resources):
            return
    raise UnauthorizedError(f"accessControl does not allow {operation} on {resource!r}")


def _admits(allowed: str, resource: str, *, mqtt: bool) -> bool:
    return _pattern(allowed).fullmatch(resource) is not None or (mqtt and matches(allowed, resource))


@lru_cache(maxsize=1024)
def _pattern(allowed: str) -> re.Pattern[str]:
    parts = []
    for literal, star, text in _ESCAPE.findall(allowed):
        parts.append(".*" if star else re.escape(literal or text))
    return re.compile("".join(parts), re.DOTALL)


def check_resources(component: str, configuration: Mapping[str, Any]) -> None:
    """Refuse `?` in a resource, as lite does. Raises DeploymentError naming the resource."""
    control = configuration.get("accessControl")
    for service in control if isinstance(control, Mapping) else ():
        for policy in read_policies(configuration, service):
            for resource in policy.resources:
                if "?" in resource.replace("${?}", ""):
                    raise DeploymentError(f"{component}: accessControl of {service}: '?' in resource {resource!r}")
