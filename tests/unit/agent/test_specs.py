"""How a model is described, and what is told of a runtime's complaint."""

import pytest
from linewatch_agent.backends.specs import first_line, spec_for_wire
from linewatch_agent.errors import NotLoadableError

CHECK = "Exception from src/a.cpp:84:\nCheck 'false' failed at src/b.cpp:151:\nFrontEnd API failed with OpConversionFailure:\n"
UNKNOWN = (
    CHECK
    + "Model wasn't fully converted.\nSummary:\n-- No conversion rule found for operations: Conv9D\nTo facilitate …\n"
)
FAILED = (
    CHECK
    + "Model wasn't fully converted. Failed operations detailed log:\n-- Conv with a message:\nno such file\nSummary:\n-- …"
)
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
        (UNKNOWN, "No conversion rule found for operations: Conv9D"),
        (FAILED, "no such file"),
        ("x" * 400, "x" * 300),
    ],
)
def test_the_first_line_that_says_something_is_told(said: str, told: str) -> None:
    assert first_line(RuntimeError(said)) == told


def test_a_side_that_the_wire_cannot_carry_is_refused() -> None:
    assert spec_for_wire("x", "float32", (-1, 2**31 - 1)).shape == (-1, 2**31 - 1)
    with pytest.raises(NotLoadableError, match="has a side that the interface cannot carry"):
        spec_for_wire("x", "float32", (-1, 2**31))
