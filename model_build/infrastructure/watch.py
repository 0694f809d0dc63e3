"""Counts devices that report and devices that are silent, for the dashboard and its alarm, by listing alone."""

import json
from datetime import timedelta
from typing import Any

from model_build.fleet.configuration import moment_of
from model_build.infrastructure.services import Services

SILENT_AFTER = timedelta(minutes=10)
# A device that was switched off for good is no alarm for ever; `device remove` takes it out at once.
FORGOTTEN_AFTER = timedelta(days=1)


def watch(services: Services) -> dict[str, int]:
    """{"DevicesReporting", "DevicesSilent"}. Raises FleetError's children."""
    ages = [services.clock() - moment_of(listed.received) for listed in services.reports.listing().values()]
    silent = sum(SILENT_AFTER < age <= FORGOTTEN_AFTER for age in ages)
    return {"DevicesReporting": sum(age <= SILENT_AFTER for age in ages), "DevicesSilent": silent}


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
