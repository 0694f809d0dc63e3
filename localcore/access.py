"""Who may do what on a topic: a component's accessControl, read from its configuration once per change."""

from collections.abc import Callable, Mapping
from typing import Any

from localcore.authorization import MQTTPROXY, Policy, authorize, read_policies
from localcore.configuration import ConfigurationStore
from localcore.identity import Identity

Substitute = Callable[[str, str], str]  # (component, text) -> text with its recipe variables resolved


class AccessControl:
    """Checks requests; the command line may do everything."""

    def __init__(self, configuration: ConfigurationStore, substitute: Substitute) -> None:
        self._configuration = configuration
        self._substitute = substitute
        self._cache: dict[tuple[str, str], tuple[Mapping[str, Any], tuple[Policy, ...]]] = {}

    def check(self, identity: Identity, service: str, operation: str, resource: str) -> None:
        """Raises UnauthorizedError."""
        if identity.is_cli:
            return
        authorize(
            self._policies(identity.component, service),
            f"aws.greengrass#{operation}",
            resource,
            mqtt=service == MQTTPROXY,
            substitute=lambda allowed: self._substitute(identity.component, allowed),
        )

    def _policies(self, component: str, service: str) -> tuple[Policy, ...]:
        tree = self._configuration.tree(component)
        cached = self._cache.get((component, service))
        if cached is None or cached[0] is not tree:  # the store replaces a tree, it never changes one in place
            cached = (tree, read_policies(tree, service))
            self._cache[component, service] = cached
        return cached[1]
