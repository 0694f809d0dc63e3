"""What is told of a runtime's complaint."""

import pytest
from linewatch_agent.backends.specs import first_line

OUTSIDE = "Path '../secret.bin' resolves to '/secret.bin' which is outside the base directory '/model'"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("", "RuntimeError"),
        ("plain\nmore", "plain"),
        (
            "Exception from src/a.cpp:84:\nCheck 'false' failed at src/b.cpp:47:\nLoading input model\n" + OUTSIDE,
            OUTSIDE,
        ),
        ("Exception from src/a.cpp:84:\n", "Exception from src/a.cpp:84:"),
        ("x" * 400, "x" * 300),
    ],
)
def test_the_first_line_that_says_something_is_told(said: str, told: str) -> None:
    assert first_line(RuntimeError(said)) == told
