"""Reading tensors from System V segments."""

import os
from collections.abc import Callable

import pytest
from linewatch_agent.errors import BadRequestError
from linewatch_agent.shared_memory import Segment

from tests.unit.agent.support import attached, set_segment_mode, shared_segment

PAGE = 4096


def test_reads_at_the_offset_and_detaches() -> None:
    with shared_segment(b"0123456789") as segment_id:
        assert Segment(segment_id, offset=2).read(5) == b"23456"
        assert Segment(segment_id, size=10).read(10) == b"0123456789"
        assert attached(segment_id) == 0


@pytest.mark.parametrize(
    ("offset", "size", "expected", "reason"),
    [
        (0, 0, 11, "it holds 10 bytes, 11 are expected at offset 0"),
        (8, 0, 3, "at offset 8"),
        (2**63, 0, 1, "at offset"),
        (0, 9, 10, "size 9 was sent, 10 bytes are expected"),
        (0, 0, PAGE * 1000, "it holds 10 bytes"),
    ],
)
def test_what_does_not_fit_is_refused_and_detached(offset: int, size: int, expected: int, reason: str) -> None:
    with shared_segment(b"0123456789") as segment_id:
        with pytest.raises(BadRequestError, match=reason):
            Segment(segment_id, offset, size).read(expected)
        assert attached(segment_id) == 0


def test_a_segment_that_is_gone_is_refused() -> None:
    with shared_segment(b"1") as segment_id:
        pass
    with pytest.raises(BadRequestError, match=f"segment {segment_id}: there is none"):
        Segment(segment_id).read(1)


@pytest.mark.parametrize("segment_id", [2**31, 2**64 - 1])
def test_what_cannot_be_an_id_is_refused(segment_id: int) -> None:
    with pytest.raises(BadRequestError, match="not an id that shmget gives"):
        Segment(segment_id).read(1)


def test_a_segment_that_we_may_not_read_is_refused() -> None:
    with shared_segment(b"secret") as segment_id:
        set_segment_mode(segment_id, 0)
        assert _as_nobody(lambda: _refused(segment_id)) == 0


def _refused(segment_id: int) -> bool:
    try:
        Segment(segment_id).read(6)
    except BadRequestError as error:
        return "not readable for the agent's user" in str(error)
    return False


def _as_nobody(check: Callable[[], bool]) -> int:
    """Root reads everything: the check runs in a child that is not root. Its exit code is 0 when the check held."""
    child = os.fork()
    if child == 0:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresuid(65534, 65534, 65534)
        os._exit(0 if check() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
