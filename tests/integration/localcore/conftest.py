"""Bundles and cores."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from localcore.testing import RunningCore, running_core
from tests.integration.localcore.bundles import Bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return Bundle(tmp_path)


@pytest.fixture
def lite() -> Iterator[RunningCore]:
    with running_core(like="lite", stop_timeout_s=1) as core:
        yield core


@pytest.fixture
def classic() -> Iterator[RunningCore]:
    with running_core(like="classic", stop_timeout_s=1) as core:
        yield core


@pytest.fixture
def core(request: pytest.FixtureRequest) -> Iterator[RunningCore]:
    """A core like `request.param`, for tests that hold for both."""
    with running_core(like=request.param, stop_timeout_s=1) as running:
        yield running
