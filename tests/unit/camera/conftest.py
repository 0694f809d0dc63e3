from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.camera.line import Line, made_line


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with made_line(tmp_path) as made:
        yield made
