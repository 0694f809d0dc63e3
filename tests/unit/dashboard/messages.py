"""Messages as the line sends them, short to write in a test."""

import os
from typing import Any

from linewatch_common.messages import AgentStatus, Heartbeat, InspectorStatus, Outcome, RoleStatus, Verdict
from linewatch_common.messages.status import ComponentState

AT = "2026-11-22T10:15:30.000000Z"
DIGEST = "sha256:" + "0123456789abcdef" * 4


def frame(number: int) -> str:
    return f"line1-1763800000-{number:06d}"


def at(second: int) -> str:
    return f"2026-11-22T10:15:{second:02d}.000000Z"


def verdict(number: int, outcome: Outcome = Outcome.PASS, **changes: Any) -> Verdict:
    """The verdict of frame `number`, captured at that second."""
    values: dict[str, Any] = {
        "inspection_id": frame(number),
        "frame_id": frame(number),
        "station": "line1",
        "outcome": outcome,
        "captured_at": at(number % 60),
        "published_at": at(number % 60),
    }
    return Verdict(**(values | changes))


def beat(component: str, state: ComponentState = ComponentState.READY, **changes: Any) -> Heartbeat:
    values: dict[str, Any] = {
        "component": f"com.linewatch.{component}",
        "station": "line1",
        "version": "1.0.0",
        "state": state,
        "at": AT,
        "started_at": AT,
        "uid": os.getuid(),
    }
    return Heartbeat(**(values | changes))


def inspector_beat(ledger: str = "/l/ledger.db", store: str = "/l/store", **changes: Any) -> Heartbeat:
    status: dict[str, Any] = {
        "ready": True,
        "in_use": ["SurfaceClassifier-1-0-0"],
        "ledger": ledger,
        "store": store,
        "outcomes": {"pass": 3, "fail": 1},
        "judged_sequence": 4,
        "judged_epoch": 1763800000,
    }
    return beat("Inspector", inspector=InspectorStatus(**(status | changes)))


def agent_beat(**roles: tuple[str, str]) -> Heartbeat:
    """role=(name, version)"""
    served = {
        role: RoleStatus(
            identifier=f"{name}-{version.replace('.', '-')}", version=version, folder="/m", manifest_digest=DIGEST
        )
        for role, (name, version) in roles.items()
    }
    return beat("EdgeAgent", agent=AgentStatus(endpoint="/a.sock", boot_id="b", roles=served))
