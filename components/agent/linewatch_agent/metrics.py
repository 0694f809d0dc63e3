"""Figures for Prometheus, on a loopback port. The only importer of prometheus_client."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import WSGIServer

from linewatch_common.errors import ConfigError
from prometheus_client import CollectorRegistry, Gauge, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from linewatch_agent.counters import Counters
from linewatch_agent.heartbeat import Activity
from linewatch_agent.loading import resident_bytes
from linewatch_agent.registry import ModelRegistry

# From a tiny net to one that is too slow for any line.
BUCKETS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
# Clients choose the names: beyond this many, a model's figures are kept under OTHER.
MAX_MODELS = 64
OTHER = "(other)"


class Metrics:
    """What is counted, whether or not somebody asks. Safe for concurrent use."""

    def __init__(self, counters: Counters, models: ModelRegistry) -> None:
        self.registry = CollectorRegistry()
        self._latency = Histogram(
            "linewatch_predict_seconds",
            "Latency of predictions: inputs (checked, read from shared memory) and run (with the wait for the model).",
            ("model", "stage"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._in_flight = Gauge(
            "linewatch_predictions_in_flight", "Predictions that wait or run at the moment.", registry=self.registry
        )
        self._known: set[str] = set()
        self.activity = Activity()
        self._lock = threading.Lock()
        self.registry.register(_State(counters, models))

    @contextmanager
    def prediction(self) -> Iterator[None]:
        """Counted as in flight while it lasts."""
        self._in_flight.inc()
        try:
            yield
        finally:
            self._in_flight.dec()

    def predicted(self, model: str, inputs: float, run: float) -> None:
        """Seconds of the two stages."""
        self.activity.predicted(model, inputs + run)
        with self._lock:
            if model not in self._known:
                if len(self._known) < MAX_MODELS:
                    self._known.add(model)
                else:
                    model = OTHER
        self._latency.labels(model, "inputs").observe(inputs)
        self._latency.labels(model, "run").observe(run)

    def captured(self, model: str) -> None:
        """One capture was taken."""
        self.activity.sampled(model)


class _State(Collector):
    """What others count, read when it is asked for."""

    def __init__(self, counters: Counters, models: ModelRegistry) -> None:
        self._counters = counters
        self._models = models

    def collect(self) -> Iterable[Metric]:
        """See Collector."""
        for name, count in self._counters.snapshot().items():
            yield CounterMetricFamily(f"linewatch_{name}", f"{name.replace('_', ' ')} since the start.", value=count)
        yield GaugeMetricFamily("linewatch_resident_bytes", "Memory of the process in RAM.", value=resident_bytes())
        loaded = GaugeMetricFamily("linewatch_model_bytes", "What a loaded model is counted with.", labels=("model",))
        for entry in self._models.all():
            loaded.add_metric((entry.name,), entry.model.memory_bytes)
        yield loaded


class MetricsServer:
    """Answers on 127.0.0.1 alone; `port` 0 is off."""

    def __init__(self, metrics: Metrics, port: int) -> None:
        self._metrics = metrics
        self._port = port
        self._served: tuple[WSGIServer, Any] | None = None

    def start(self) -> None:
        """Raises ConfigError when somebody else has the port."""
        if not self._port:
            return
        try:
            self._served = start_http_server(self._port, addr="127.0.0.1", registry=self._metrics.registry)
        except OSError as error:
            raise ConfigError(f"MetricsPort: {self._port} cannot be bound: {error.strerror}; choose another") from error

    def stop(self) -> None:
        """Free the port."""
        if self._served is not None:
            server, thread = self._served
            server.shutdown()
            server.server_close()
            thread.join()
