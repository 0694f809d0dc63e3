"""Fixtures of the agent's unit tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from linewatch_agent_api.client import AgentClient

from tests.unit.agent.support import running_core, short_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """The agent's work folder."""
    with short_folder() as made:
        yield made


@pytest.fixture
def tmp_path(folder: Path) -> Path:
    """pytest's own lies on the disk, whose fsync the agent waits for."""
    made = folder / "tmp"
    made.mkdir()
    return made


@pytest.fixture
def client(folder: Path) -> Iterator[AgentClient]:
    """A client of a running agent that works in `folder`."""
    settings = {"capture_data_push_period_seconds": 1, "capture_buffer_mb": 1}
    with running_core(folder, **settings) as (_, socket), AgentClient(socket) as connected:
        yield connected
