"""Calls to AWS that can be shown instead of made."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from model_build.fleet.calls import Caller


class Account:
    """`clients`: boto3 clients by service. A change is announced by `say` as the API call it is; with `dry_run` that is all.

    Methods raise FleetError's children (model_build.fleet.errors).
    """

    def __init__(self, clients: Mapping[str, Any], call: Caller, say: Callable[[str], None], *, dry_run: bool) -> None:
        self._clients = clients
        self._caller = call
        self._say = say
        self.dry_run = dry_run

    def region(self, service: str) -> str:
        """Where that client's calls go."""
        return str(self._clients[service].meta.region_name)

    def read(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """Ask."""
        answer: dict[str, Any] = self._caller(self._clients[service], operation, **parameters)
        return answer

    def pages(self, service: str, operation: str, field: str, **parameters: Any) -> Iterator[Any]:
        """Each entry of the list `field` over all pages."""
        return self._caller.pages(self._clients[service], operation, field, **parameters)

    def change(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """Make the change; {} when it is only shown."""
        self._say(
            f"{'would call' if self.dry_run else 'call'} {service} {operation} {json.dumps(parameters, sort_keys=True)}"
        )
        return {} if self.dry_run else self.read(service, operation, **parameters)
