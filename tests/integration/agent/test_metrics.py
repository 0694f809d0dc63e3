"""Figures for Prometheus, as it reads them."""

import socket
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from linewatch_agent.counters import Counters
from linewatch_agent.metrics import MAX_MODELS, OTHER, Metrics
from linewatch_agent_api.client import AgentClient
from linewatch_agent_api.errors import NotFoundError
from linewatch_common.errors import ConfigError
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.agent.support import model_folder, running_core, short_folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def figures(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """By name and label values; buckets are left out."""
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_bucket")
    }


def test_a_prediction_shows(folder: Path) -> None:
    port = free_port()
    with running_core(folder, metrics_port=port) as (_, endpoint), AgentClient(endpoint) as client:
        client.load("tiny", model_folder(folder / "m"))
        for _ in range(3):
            client.predict("tiny", {"picture": np.zeros((1, 4, 4, 3), np.uint8)})
        with pytest.raises(NotFoundError):
            client.predict("other", {})
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
            found = figures(response.read().decode())
    assert found["linewatch_predict_seconds_count", ("tiny", "inputs")] == 3
    assert found["linewatch_predict_seconds_count", ("tiny", "run")] == 3
    assert 0 < found["linewatch_predict_seconds_sum", ("tiny", "run")] < 60
    assert found["linewatch_predictions_total", ()] == 3
    assert found["linewatch_predict_errors_total", ()] == 1
    assert found["linewatch_predictions_in_flight", ()] == 0
    assert found["linewatch_captures_stored_total", ()] == 0
    assert found["linewatch_resident_bytes", ()] > 10_000_000
    assert found["linewatch_model_bytes", ("tiny",)] > 0
    with pytest.raises(urllib.error.URLError):  # gone with the agent
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10)


def test_a_port_that_somebody_has_is_said() -> None:
    with socket.socket() as taken, short_folder() as folder:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        with (
            pytest.raises(ConfigError, match=f"MetricsPort: {port} cannot be bound"),
            running_core(folder, metrics_port=port),
        ):
            pass
        assert not (folder / "agent.sock").exists(), "clients would wait at a socket that nobody serves"


def test_names_that_clients_choose_do_not_fill_the_memory(folder: Path) -> None:
    with running_core(folder) as (core, _):
        metrics = Metrics(Counters(), core.registry)
        for number in range(MAX_MODELS + 50):
            metrics.predicted(f"m{number}", 0.001, 0.01)
        found = figures(generate_latest(metrics.registry).decode())
    assert found["linewatch_predict_seconds_count", (OTHER, "run")] == 50
    assert len([name for name, _ in found if name == "linewatch_predict_seconds_count"]) == 2 * (MAX_MODELS + 1)
