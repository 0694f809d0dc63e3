"""Once a day: what the devices counted since yesterday, how their models stand to their first weeks, and an event for each that drifted.

Records, below `drift/<fleet>/` in the fleet's bucket: `devices.json` (each device's running counts at the last look), `lives/<model>.json`.
"""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
from linewatch_common.errors import MessageError
from linewatch_common.messages.base import decode as decode_message
from linewatch_common.messages.fleet import FleetHealth

from model_build.drift.days import Counts, Life, counts_of, day_of
from model_build.drift.judging import Answer, Finding, judge
from model_build.fleet.configuration import decode, moment_of, moment_text
from model_build.fleet.errors import CloudUnavailableError
from model_build.infrastructure.retraining import DETAIL_TYPE, SOURCE, Alert
from model_build.infrastructure.services import Services

DEVICES_KEY = "devices.json"
# A second look on one day would only split it; a schedule may come a little early.
NOT_BEFORE = timedelta(hours=20)
# A device that is away for longer begins anew: its counts would be of weeks.
REMEMBERED = timedelta(days=3)


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    at: str
    counts: Counts


class _Devices(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="linewatch.DriftDevices/1"):
    """`looked`: when (UTC text)."""

    looked: str
    things: dict[str, _Seen]


def look(services: Services) -> dict[str, Any]:
    """{"looked", "models": {identifier: [finding]}, "raised"}. Raises FleetError's children."""
    now = services.clock()
    known = _known(services)
    if known is not None and now - moment_of(known.looked) < NOT_BEFORE:
        return {"looked": False, "models": {}, "raised": 0}
    old = {
        thing: seen for thing, seen in (known.things if known else {}).items() if now - moment_of(seen.at) <= REMEMBERED
    }
    heard = dict(_heard(services))
    today = now.date()
    rows = day_of(today.isoformat(), {thing: seen.counts for thing, seen in old.items()}, heard)
    found: dict[str, list[Finding]] = {}
    for model, row in rows.items():
        life = _life(services, model)
        life.add(row)
        services.drift.write(f"lives/{model}.json", msgspec.json.encode(life))
        found[model] = judge(life.days, today)
    raised = _raise(services, found)
    at = moment_text(now)
    seen = old | {thing: _Seen(at=at, counts=counts) for thing, counts in heard.items()}
    # Last: a look that broke is made again, and folds the same day over itself.
    services.drift.write(DEVICES_KEY, msgspec.json.encode(_Devices(looked=at, things=seen)))
    models = {model: [msgspec.to_builtins(finding) for finding in findings] for model, findings in found.items()}
    return {"looked": True, "models": models, "raised": raised}


def metric_line(fleet: str, answer: dict[str, Any], now_ms: int) -> str:
    """CloudWatch's embedded metric format; the findings stand beside the figure, for whoever asks why."""
    about = {
        "Timestamp": now_ms,
        "CloudWatchMetrics": [
            {
                "Namespace": "linewatch",
                "Dimensions": [["Fleet"]],
                "Metrics": [{"Name": "ModelsDrifted", "Unit": "Count"}],
            }
        ],
    }
    return json.dumps({"_aws": about, "Fleet": fleet, "ModelsDrifted": answer["raised"], "findings": answer["models"]})


def _heard(services: Services) -> Iterator[tuple[str, Counts]]:
    """Each device's newest counts. What no report can be read from says nothing; gates name it."""
    reports = services.reports
    for thing in reports.listing():
        raw = reports.read(thing)
        try:
            report: FleetHealth = decode_message(raw or b"", FleetHealth)
        except MessageError:
            continue
        counts = counts_of(report) if report.thing == thing else None
        if counts is not None:
            yield thing, counts


def _raise(services: Services, found: dict[str, list[Finding]]) -> int:
    """One event for each model and kind; the same again on the same day is the same alert."""
    day = services.clock().date().isoformat()
    alerts = [
        Alert(
            fleet=services.fleet,
            model=model,
            kind=str(finding.kind),
            day=day,
            reason=finding.reason,
            figures=finding.figures,
        )
        for model, findings in found.items()
        for finding in findings
        if finding.answer == Answer.YES
    ]
    for alert in alerts:
        entry = {"Source": SOURCE, "DetailType": DETAIL_TYPE, "Detail": msgspec.json.encode(alert).decode()}
        answer = services.call(services.client("events"), "put_events", Entries=[entry])
        if answer["FailedEntryCount"]:
            raise CloudUnavailableError(f"EventBridge took no event about {alert.model}: {answer['Entries']}")
    return len(alerts)


def _known(services: Services) -> _Devices | None:
    found = services.drift.read(DEVICES_KEY)
    return None if found is None else decode(found[0], _Devices, DEVICES_KEY)


def _life(services: Services, model: str) -> Life:
    key = f"lives/{model}.json"
    found = services.drift.read(key)
    return Life(model=model) if found is None else decode(found[0], Life, key)
