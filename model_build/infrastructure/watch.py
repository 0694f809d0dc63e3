"""Counts devices that report and devices that are silent, for the dashboard and its alarm, and keeps when each was heard last."""

import json
from datetime import timedelta
from typing import Any

import msgspec

from model_build.fleet.configuration import decode, moment_of
from model_build.infrastructure.services import Services

SILENT_AFTER = timedelta(minutes=10)
# A device that was switched off for good is no alarm for ever.
FORGOTTEN_AFTER = timedelta(days=1)
HEARD_KEY = "heard.json"


def watch(services: Services) -> dict[str, int]:
    """{"DevicesReporting", "DevicesSilent"}. Raises FleetError's children."""
    now = services.clock()
    heard = _known(services) | {thing: listed.received for thing, listed in services.reports.listing().items()}
    heard = {thing: received for thing, received in heard.items() if now - moment_of(received) <= FORGOTTEN_AFTER}
    services.heard.write(HEARD_KEY, msgspec.json.encode(heard))
    silent = sum(now - moment_of(received) > SILENT_AFTER for received in heard.values())
    return {"DevicesReporting": len(heard) - silent, "DevicesSilent": silent}


def _known(services: Services) -> dict[str, str]:
    """Thing to when it was heard last (UTC text), by the last look."""
    found = services.heard.read(HEARD_KEY)
    return {} if found is None else decode(found[0], dict[str, str], HEARD_KEY)


def metric_line(fleet: str, figures: dict[str, int], now_ms: int) -> str:
    """CloudWatch's embedded metric format: a line in the log becomes the figures, without a call."""
    about: dict[str, Any] = {
        "Timestamp": now_ms,
        "CloudWatchMetrics": [
            {
                "Namespace": "linewatch",
                "Dimensions": [["Fleet"]],
                "Metrics": [{"Name": name, "Unit": "Count"} for name in figures],
            }
        ],
    }
    return json.dumps({"_aws": about, "Fleet": fleet, **figures})
