from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.inspector.line import Line


@pytest.fixture
def make_line(tmp_path: Path) -> Iterator[Callable[..., Line]]:
    """Makes lines that are taken down at the end of the test."""
    made: list[Line] = []

    def make(**configuration: Any) -> Line:
        line = Line(tmp_path / f"line{len(made)}", **configuration)
        made.append(line)
        return line

    yield make
    for line in made:
        line.close()


@pytest.fixture
def line(make_line: Callable[..., Line]) -> Line:
    """A line with the default configuration, not started."""
    return make_line()
