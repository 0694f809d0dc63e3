"""Counts that only grow, for the heartbeat."""

import threading
from collections import Counter


class Counters:
    """Safe for concurrent use."""

    NAMES = (
        "predictions",
        "predict_errors",
        "captures_taken",
        "captures_stored",
        "captures_sent",
        "captures_failed",
        "captures_refused",
        "captures_dropped",
        "models_activated",
        "models_refused",
        "models_retired",
        "models_ended",
        "models_reloaded",
        "messages_dropped",
    )

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = Counter(dict.fromkeys(self.NAMES, 0))

    def add(self, name: str, count: int = 1) -> None:
        """Count; `name` is one of NAMES."""
        with self._lock:
            self._counts[name] += count

    def snapshot(self) -> dict[str, int]:
        """All counts now."""
        with self._lock:
            return dict(self._counts)
