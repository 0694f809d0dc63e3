"""Components that offer models for one role: the one that was deployed last serves, but after a reboot either may. A person removes one.

The agent cannot choose: after a reboot the older one offers its package exactly as after a rollback, and a rollback must win.
"""

import logging
from collections.abc import Callable

from linewatch_common.logs import capped

log = logging.getLogger(__name__)

# A deployment in which one component takes another's place removes the old one last, when all that is new runs.
SETTLED_SECONDS = 300.0
# Two of them make the case; names come from the bus.
MAX_NAMED = 4


class Rivals:
    """Used by one thread. `clock` is monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._standing: dict[str, list[str]] = {}
        self._due: dict[str, float] = {}

    def stands(self, role: str, component: str) -> None:
        """The component's model was activated for the role, or offered again while it serves."""
        standing = self._standing.setdefault(role, [])
        if component in standing:
            return
        self.went(component)  # with another role than before
        standing.append(component)
        del standing[:-MAX_NAMED]
        self._due[role] = self._clock() + SETTLED_SECONDS

    def went(self, component: str) -> None:
        """The component withdrew its offer."""
        for standing in self._standing.values():
            if component in standing:
                standing.remove(component)

    def look(self) -> None:
        """Say once which components stay beside each other; call it often."""
        for role in [role for role, due in self._due.items() if self._clock() >= due]:
            del self._due[role]
            if len(self._standing[role]) > 1:
                log.warning(
                    "role %s: more than one component offers a model for it: %s; after a reboot any of them may serve: remove all but one",
                    role,
                    ", ".join(capped(component) for component in sorted(self._standing[role])),
                )
