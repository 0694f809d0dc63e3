"""What a device costs in a month, by list prices of a day (`prices.json`): an order of magnitude, never a bill."""

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec

from model_build.fleet.configuration import decode
from model_build.fleet.errors import FleetInputError

if TYPE_CHECKING:
    from model_build.data.commands import Commands

PRICES = Path(__file__).with_name("prices.json")
DAYS = 30
MINUTES = DAYS * 24 * 60
_STEP = 5 * 1024  # IoT Core and Firehose count in steps of that many bytes
_GB = 1024**3
_LINE = 180  # what stands around a report in the stream, with a long thing name
_HEALTH_KEPT_DAYS = 1  # the template's lifecycle rule; in a versioned bucket one day more
_STREAM_OBJECTS_A_MINUTE = 1


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One price and where it stands."""

    usd: Annotated[float, msgspec.Meta(ge=0)]
    per: str
    source: str


class Prices(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="schema", tag="linewatch.Prices/1"
):
    """Prices of one day and region; `verified`: somebody compared them with their sources and a bill."""

    written: str
    region: str
    currency: str
    verified: bool
    note: str
    prices: dict[str, Price]

    def usd(self, name: str) -> float:
        """Raises FleetInputError."""
        if name not in self.prices:
            raise FleetInputError(f"the price file has no {name}")
        return self.prices[name].usd


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """What one device of a fleet does. `stream` False: an object in S3 for each report instead of the delivery stream."""

    devices: int = 1000
    report_bytes: int = 1_500
    captures_a_day: float = 200
    capture_kb: float = 300
    captures_kept_days: float = 90
    stream: bool = True


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """One row: so many of it for a device and month, at `price` of the price file."""

    group: str
    item: str
    price: str
    quantity: float
    usd: float


def read_prices(path: Path = PRICES) -> Prices:
    """Raises FleetInputError."""
    return decode(path.read_bytes(), Prices, str(path))


def device_month(prices: Prices, use: Use) -> list[Cost]:
    """The rows for one device and month of 30 days. Raises FleetInputError for a use that cannot be."""
    numbers = (use.report_bytes, use.captures_a_day, use.capture_kb, use.captures_kept_days)
    if use.devices < 1 or min(numbers) < 0:
        raise FleetInputError("costs: want at least one device, and nothing below 0")
    quantities = [("device", "active core device", "greengrass_core_month", 1.0), *_health(use), *_captures(use)]
    return [
        Cost(group=group, item=item, price=price, quantity=quantity, usd=quantity * prices.usd(price))
        for group, item, price, quantity in quantities
    ]


def _health(use: Use) -> list[tuple[str, str, str, float]]:
    """A report each minute: sent, through the rule, stored for a day."""
    steps = MINUTES * math.ceil(use.report_bytes / _STEP)
    rows = [
        ("device", "connection", "iot_minutes", float(MINUTES)),
        ("health", "messages", "iot_message", float(steps)),
        ("health", "rule", "iot_rule", float(steps)),
        ("health", "rule's action", "iot_action", float(steps)),
    ]
    if not use.stream:
        return [*rows, ("health", "an object a report", "s3_put", float(MINUTES))]
    line = math.ceil(use.report_bytes / 3) * 4 + _LINE  # base64
    standing = line * 60 * 24 * (_HEALTH_KEPT_DAYS + 1) / _GB
    return [
        *rows,
        ("health", "delivery stream", "firehose_gb", MINUTES * math.ceil(line / _STEP) * _STEP / _GB),
        ("health", "its objects, shared by all", "s3_put", _STREAM_OBJECTS_A_MINUTE * MINUTES / use.devices),
        ("health", "storage", "s3_gb_month", standing),
    ]


def _captures(use: Use) -> list[tuple[str, str, str, float]]:
    """A picture and a record each; both go to S3 over HTTPS, not through IoT Core."""
    return [
        ("captures", "picture and record", "s3_put", 2 * use.captures_a_day * DAYS),
        (
            "captures",
            "storage",
            "s3_gb_month",
            use.captures_a_day * use.captures_kept_days * use.capture_kb * 1024 / _GB,
        ),
    ]


def totals(costs: list[Cost]) -> dict[str, float]:
    """USD by group, and in all."""
    found: dict[str, float] = {}
    for cost in costs:
        found[cost.group] = found.get(cost.group, 0.0) + cost.usd
    return found | {"total": sum(found.values())}


def as_table(prices: Prices, use: Use, costs: list[Cost]) -> str:
    """Markdown: rows, totals, and how far to trust them."""
    lines = ["| | Per device and month | Quantity | USD |", "|---|---|---:|---:|"]
    lines += [f"| {cost.group} | {cost.item} | {cost.quantity:,.4g} | {cost.usd:.4f} |" for cost in costs]
    lines += [f"| **{group}** | | | **{usd:.4f}** |" for group, usd in totals(costs).items()]
    trust = "" if prices.verified else ", unverified"
    about = (
        f"{use.devices:,} devices, a report of {use.report_bytes:,} bytes a minute, {use.captures_a_day:g} captures of "
        f"{use.capture_kb:g} KB a day, kept {use.captures_kept_days:g} days. "
        f"List prices of {prices.region}, written down {prices.written}{trust}."
    )
    return about + "\n\n" + "\n".join(lines)


def add_costs(commands: "Commands") -> None:
    """`fleet costs`: needs no account, asks nobody."""
    text = "what a device costs in a month, by list prices of a day: an order of magnitude, unverified"
    parser = commands.add_parser("costs", help=text, description=text)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--captures", type=float, default=200, help="a day and device (default 200)")
    parser.add_argument("--capture-kb", type=float, default=300, help="size of one (default 300)")
    parser.add_argument("--keep-days", type=float, default=90, help="how long captures are kept (default 90)")
    parser.add_argument("--object-a-report", action="store_true", help="without the delivery stream")
    parser.add_argument("--json", action="store_true", help="for programs: JSON on stdout")
    parser.set_defaults(command=_show)


def _show(options: argparse.Namespace) -> None:
    use = Use(
        devices=options.devices,
        captures_a_day=options.captures,
        capture_kb=options.capture_kb,
        captures_kept_days=options.keep_days,
        stream=not options.object_a_report,
    )
    prices = read_prices()
    costs = device_month(prices, use)
    found = {
        "written": prices.written,
        "verified": prices.verified,
        "use": use,
        "costs": costs,
        "totals": totals(costs),
    }
    sys.stdout.write((msgspec.json.encode(found).decode() if options.json else as_table(prices, use, costs)) + "\n")
