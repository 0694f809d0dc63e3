"""Tokens: which component, or the command line, stands behind a connection."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

_TOKEN_BYTES = 12


@dataclass(frozen=True, slots=True)
class Identity:
    """Who speaks: a component, or the command line (which may do everything)."""

    component: str
    is_cli: bool = False


CLI = Identity("aws.greengrass.Cli", is_cli=True)


class Tokens:
    """The living tokens. A component's token lives as long as the process it was given to."""

    def __init__(self) -> None:
        self._identities: dict[str, Identity] = {}
        self._on_revoke: list[Callable[[str], None]] = []

    def issue(self, identity: Identity) -> str:
        """A fresh token for one start of a process."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._identities[token] = identity
        return token

    def revoke(self, token: str) -> None:
        """Kill the token: connections made with it are closed, new ones refused."""
        if self._identities.pop(token, None) is not None:
            for listener in self._on_revoke:
                listener(token)

    def on_revoke(self, listener: Callable[[str], None]) -> None:
        """Call `listener(token)` when a token dies."""
        self._on_revoke.append(listener)

    def find(self, token: str) -> Identity | None:
        """Who holds the token, or None when it is dead or unknown."""
        return self._identities.get(token)
