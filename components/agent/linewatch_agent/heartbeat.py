"""What the original's heartbeat told of the agent and its models: kept while they work, told on the status topic."""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

import msgspec
from linewatch_common import __version__
from linewatch_common.clock import utc_now, utc_text
from linewatch_common.messages.status import EdgeHeartbeat, EdgeMetric, EdgeModel

from linewatch_agent.captures.lines import Origin
from linewatch_agent.counters import Counters
from linewatch_agent.loading import resident_bytes
from linewatch_agent.registry import Entry

# Clients choose the names: what is remembered beyond this many goes, longest unused first.
MAX_NAMES = 256
# A heartbeat has 7,000 bytes, of which roles with long names and folders may need half.
MODELS_BYTES = 2_800


@dataclass(slots=True)
class Used:
    """What a name was used for; times are wall clock in ns, 0: never."""

    predictions: int = 0
    seconds: float = 0.0
    predicted_ns: int = 0
    sampled_ns: int = 0


class Activity:
    """When models were used last, by the name they are loaded under. Safe for concurrent use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._used: OrderedDict[str, Used] = OrderedDict()

    def predicted(self, name: str, seconds: float) -> None:
        """One prediction went well and took `seconds`."""
        with self._lock:
            used = self._named(name)
            used.predictions += 1
            used.seconds += seconds
            used.predicted_ns = time.time_ns()

    def sampled(self, name: str) -> None:
        """One capture of it was taken."""
        with self._lock:
            self._named(name).sampled_ns = time.time_ns()

    def of(self, name: str) -> Used:
        """What is known of it now."""
        with self._lock:
            used = self._used.get(name)
            return Used() if used is None else Used(used.predictions, used.seconds, used.predicted_ns, used.sampled_ns)

    def _named(self, name: str) -> Used:
        used = self._used.setdefault(name, Used())
        self._used.move_to_end(name)
        if len(self._used) > MAX_NAMES:
            self._used.popitem(last=False)
        return used


def edge_heartbeat(origin: Origin, counters: Counters, entries: tuple[Entry, ...], activity: Activity) -> EdgeHeartbeat:
    """The heartbeat of now. Models that do not fit are counted; those used last come first."""
    now = utc_now()
    used = sorted(((activity.of(entry.name), entry) for entry in entries), key=_recency, reverse=True)
    models, left = [], MODELS_BYTES
    for each, entry in used:
        model = _model(entry, each, now)
        left -= len(msgspec.json.encode(model)) + 1
        if left < 0:
            break
        models.append(model)
    counts = counters.snapshot()
    figures = {
        "Predictions": counts["predictions"],
        "PredictErrors": counts["predict_errors"],
        "ResidentMB": round(resident_bytes() / 1e6, 1),
    }
    return EdgeHeartbeat(
        agent_version=__version__,
        device_name=origin.device,
        device_fleet_name=origin.fleet,
        agent_metrics=_metrics("agent", figures, now),
        models=models,
        models_omitted=len(entries) - len(models),
    )


def _recency(pair: tuple[Used, Entry]) -> tuple[int, int, str]:
    used, entry = pair
    return used.predicted_ns, used.sampled_ns, entry.name


def _model(entry: Entry, used: Used, now: str) -> EdgeModel:
    stated = entry.model.stated
    figures: dict[str, float] = {"Predictions": used.predictions}
    if used.predictions:
        figures["MeanLatencyMs"] = round(used.seconds / used.predictions * 1000, 3)
    return EdgeModel(
        model_name=entry.name if stated is None else stated.name,
        model_version="" if stated is None else stated.version,
        latest_sample_time=utc_text(used.sampled_ns) if used.sampled_ns else None,
        latest_inference=utc_text(used.predicted_ns) if used.predicted_ns else None,
        model_metrics=_metrics(entry.name, figures, now),
    )


def _metrics(dimension: str, figures: dict[str, float], now: str) -> list[EdgeMetric]:
    return [
        EdgeMetric(dimension=dimension, metric_name=name, value=value, timestamp=now) for name, value in figures.items()
    ]
