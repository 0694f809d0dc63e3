"""Costs of a device and month: the arithmetic, by hand."""

import json

import msgspec
import pytest

from model_build.__main__ import main
from model_build.fleet.costs import Price, Prices, Use, device_month, read_prices, totals
from model_build.fleet.errors import FleetInputError

NAMES = (
    "greengrass_core_month",
    "iot_minutes",
    "iot_message",
    "iot_rule",
    "iot_action",
    "firehose_gb",
    "s3_put",
    "s3_get",
    "s3_gb_month",
)


def _prices(**usd: float) -> Prices:
    """All cost nothing but those named."""
    prices = {name: Price(usd=usd.get(name, 0.0), per="", source="https://example.com") for name in NAMES}
    return Prices(written="2026-11-22", region="r", currency="USD", verified=False, note="", prices=prices)


def _total(use: Use, **usd: float) -> float:
    return totals(device_month(_prices(**usd), use))["total"]


def test_each_price_is_charged_for_what_a_device_does() -> None:
    use = Use(devices=100, report_bytes=1500, captures_a_day=10, capture_kb=1024, captures_kept_days=32)
    assert _total(use, greengrass_core_month=1) == 1
    assert _total(use, iot_minutes=1) == _total(use, iot_message=1) == _total(use, iot_rule=1) == 43_200
    assert _total(use, firehose_gb=1) == pytest.approx(43_200 * 5 / 1024 / 1024), "rounded up to 5 KB each"
    assert _total(use, s3_put=1) == pytest.approx(600 + 432), (
        "two an each capture, and a hundredth of the stream's objects"
    )
    assert _total(use, s3_gb_month=1) == pytest.approx(10 * 32 / 1024 + 2180 * 2880 / 1024**3)


def test_a_report_over_five_kilobytes_counts_twice() -> None:
    assert _total(Use(report_bytes=5 * 1024 + 1), iot_message=1) == 2 * _total(
        Use(report_bytes=5 * 1024), iot_message=1
    )


def test_a_report_near_its_limit_is_over_a_step_in_the_stream() -> None:
    assert _total(Use(report_bytes=4096), firehose_gb=1) == 2 * _total(Use(report_bytes=3600), firehose_gb=1)


def test_the_stream_is_why_health_is_cheap() -> None:
    prices = read_prices()
    with_stream, without = (totals(device_month(prices, Use(stream=stream)))["health"] for stream in (True, False))
    assert with_stream < without / 3


def test_the_price_file_names_a_source_and_a_day_for_each() -> None:
    prices = read_prices()
    assert set(prices.prices) == set(NAMES)
    assert all(price.source.startswith("https://aws.amazon.com/") for price in prices.prices.values())
    assert (prices.written[:2], prices.verified) == ("20", False)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(FleetInputError, match="at least one device"):
        device_month(_prices(), Use(devices=0))
    bare = msgspec.structs.replace(_prices(), prices={})
    with pytest.raises(FleetInputError, match="greengrass_core_month"):
        device_month(bare, Use())


def test_the_command_shows_a_table_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fleet", "costs", "--devices", "10000"]) == 0
    assert "10,000 devices" in (shown := capsys.readouterr().out)
    assert "unverified" in shown
    assert main(["fleet", "costs", "--json", "--object-a-report"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["totals"]["total"] == pytest.approx(sum(row["usd"] for row in found["costs"]))
