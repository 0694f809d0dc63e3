"""Everything that was said on a line's topics, as it came from the bus."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tools.line import Line


class Traffic:
    """A subscriber to all topics of the line."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._heard: list[tuple[str, dict[str, Any]]] = []

    @contextmanager
    def listening(self, line: Line) -> Iterator["Traffic"]:
        with line.core.subscribe("linewatch/#", self._receive):
            yield self

    def of(self, schema: str) -> list[dict[str, Any]]:
        """All messages of one schema, e.g. "linewatch.Verdict/1"."""
        with self._lock:
            return [message for _, message in self._heard if message["schema"] == schema]

    def all(self) -> list[tuple[str, dict[str, Any]]]:
        with self._lock:
            return list(self._heard)

    def _receive(self, topic: str, payload: bytes) -> None:
        with self._lock:
            self._heard.append((topic, json.loads(payload)))
