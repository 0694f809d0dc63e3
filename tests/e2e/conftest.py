"""The real bundle, built once, on a real core."""

import pytest

from tools.line import build


@pytest.fixture(scope="session")
def bundle() -> None:
    """greengrass-build/ holds the current artefacts of this machine's architecture."""
    build()
