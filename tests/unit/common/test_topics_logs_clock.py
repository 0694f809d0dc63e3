"""Names of topics, log lines, time stamps."""

import logging

import pytest
from linewatch_common.clock import utc_text
from linewatch_common.errors import ConfigError
from linewatch_common.logs import Trouble, capped, set_up_logging
from linewatch_common.topics import Topics, fleet_health

pytestmark = pytest.mark.usefixtures("own_logging")


def test_topics_lie_flat_below_the_station() -> None:
    topics = Topics("press-2")
    assert topics.frames == "linewatch/press-2/frames"
    assert topics.command_results == "linewatch/press-2/commands/results"
    assert fleet_health("thing-0001") == "linewatch/fleet/thing-0001/health"


@pytest.mark.parametrize("station", ["", "Line", "a/b", "+", "#", "a*", "-a", "a-", "a" * 33, "a\n"])
def test_a_station_that_would_break_topics_is_refused(station: str) -> None:
    with pytest.raises(ConfigError, match="station"):
        Topics(station)


def test_time_is_utc_with_microseconds() -> None:
    assert utc_text(1_700_000_000_123_456_789) == "2023-11-14T22:13:20.123456Z"


def test_trouble_is_said_when_it_begins_and_when_its_reason_changes(caplog: pytest.LogCaptureFixture) -> None:
    trouble = Trouble(logging.getLogger("x"), "bus")
    assert not trouble.over()
    for problem in ("away", "away", "refused", "refused", "away"):
        trouble.met(problem)
    assert trouble.over()
    assert not trouble.over()
    trouble.met("away")
    assert caplog.messages == ["bus: away", "bus: refused", "bus: away", "bus: away"]


def test_a_log_record_is_one_line_even_with_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging()
    try:
        int("first\nsecond")
    except ValueError:
        logging.getLogger("x").exception("it failed")
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    assert " ERROR x: it failed | Traceback" in line


def test_the_aws_client_never_tells_its_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("DEBUG")
    logging.getLogger("botocore.auth").debug("CanonicalRequest: x-amz-security-token:secret")
    logging.getLogger("linewatch_agent.registry").debug("loaded")
    said = capsys.readouterr().out
    assert "loaded" in said
    assert "secret" not in said


@pytest.mark.parametrize(("level", "said"), [("debug", ["fine", "coarse"]), ("Error", []), ("WARN", ["coarse"])])
def test_a_level_is_taken_in_any_case(level: str, said: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(level)
    logging.getLogger("x").debug("fine")
    logging.getLogger("x").warning("coarse")
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == said


@pytest.mark.parametrize("level", ["", "VERBOSE", "10", "a\nb" * 40])
def test_an_unknown_level_is_one_line_that_names_the_known_ones(level: str, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(level)
    logging.getLogger("x").debug("fine")
    [line] = capsys.readouterr().out.splitlines()
    assert " WARNING linewatch_common.logs: LINEWATCH_LOG_LEVEL: " in line
    # A library may have added levels of its own, as uvicorn does.
    assert "ERROR, WARN, WARNING, INFO, DEBUG, NOTSET" in line
    assert line.endswith(": taken as INFO")


def test_a_peers_string_is_capped_and_escaped() -> None:
    assert capped("a\x1b[31m" + "b" * 300, 10) == "a\\x1b[31mb…"
