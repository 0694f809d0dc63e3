"""One full example of every message: docs/integration.md shows them, and the contract tests hold them against the schemas."""

from linewatch_common.messages.alerts import ActiveAlert, Alert, AlertKind, AlertState
from linewatch_common.messages.base import Message
from linewatch_common.messages.commands import (
    CommandResult,
    LabelVerdict,
    PauseCapture,
    ResumeCapture,
    SetPartId,
    TriggerCapture,
)
from linewatch_common.messages.fleet import LATENCY_BOUNDS_MS, SCORE_BINS, ComponentHealth, FleetHealth
from linewatch_common.messages.frames import FrameCaptured, FrameFailed
from linewatch_common.messages.models import (
    ModelActivated,
    ModelOffered,
    ModelProved,
    ModelRefused,
    ModelRetired,
    ModelWaiting,
)
from linewatch_common.messages.status import (
    AgentStatus,
    CameraStatus,
    ComponentState,
    EdgeHeartbeat,
    EdgeMetric,
    EdgeModel,
    Heartbeat,
    InspectorStatus,
    ModelStatus,
    RoleStatus,
)
from linewatch_common.messages.verdicts import Defect, InspectionStored, ModelUse, Outcome, Verdict

_AT = "2026-11-22T10:15:30.123456Z"
_DIGEST = "sha256:" + "0123456789abcdef" * 4
_FRAME = "line1-1763800000-000042"
_CLASSIFIER = "SurfaceClassifier-1-0-0"
_WORK = "/greengrass/v2/work"

FRAMES: tuple[Message, ...] = (
    FrameCaptured(
        frame_id=_FRAME,
        station="line1",
        epoch=1763800000,
        sequence=42,
        ring="/dev/shm/linewatch-line1.ring",  # noqa: S108 - an example
        slot=10,
        width=640,
        height=480,
        stride=1920,
        pixel_format="BGR8",
        captured_at=_AT,
        captured_monotonic_ns=812_345_678_901,
        part_id="part-0042",
        trigger="software",
        command_id="5f0c2f6e",
    ),
    FrameFailed(
        frame_id="line1-1763800000-000043",
        station="line1",
        epoch=1763800000,
        sequence=43,
        reason="part-0043.png: 640x480, damaged or cut off: cannot be decoded",
        captured_at=_AT,
        captured_monotonic_ns=812_545_678_901,
        part_id="part-0043",
    ),
)
VERDICTS: tuple[Message, ...] = (
    Verdict(
        inspection_id=_FRAME,
        frame_id=_FRAME,
        station="line1",
        part_id="part-0042",
        outcome=Outcome.FAIL,
        score=0.93,
        threshold=0.6,
        defects=[Defect(defect_class="scratch", box=(120, 88, 64, 12), area_px=412, score=0.91)],
        defects_total=1,
        models=[ModelUse(role="classifier", identifier=_CLASSIFIER, version="1.0.0")],
        timings_ms={
            "wait": 0.4,
            "map": 0.3,
            "prepare": 1.1,
            "classify": 6.2,
            "segment": 9.8,
            "decide": 0.3,
            "total": 18.1,
        },
        reason="score 0.930 >= 0.600 (fail), 1 defect found",
        captured_at=_AT,
        published_at="2026-11-22T10:15:30.142556Z",
    ),
    InspectionStored(
        inspection_id=_FRAME,
        frame_id=_FRAME,
        path=f"{_WORK}/com.linewatch.Inspector/store/20261122/{_FRAME}.zip",
        size_bytes=48_213,
    ),
)
ALERTS: tuple[Message, ...] = (
    Alert(
        station="line1",
        kind=AlertKind.DEFECTS_IN_A_ROW,
        state=AlertState.RAISED,
        detail="5 defective parts in a row",
        since=_AT,
        at=_AT,
        count=5,
    ),
)
MODELS: tuple[Message, ...] = (
    ModelOffered(
        name="SurfaceClassifier",
        version="1.0.0",
        identifier=_CLASSIFIER,
        role="classifier",
        folder=f"{_WORK}/com.linewatch.model.SurfaceClassifier/1.0.0/package",
        manifest_digest=_DIGEST,
        nonce="b2e1f3",
        trial=True,
        lease="com.linewatch.model.SurfaceClassifier",
    ),
    ModelProved(identifier=_CLASSIFIER, manifest_digest=_DIGEST, nonce="b2e1f3", latency_ms=5.9, golden_samples=6),
    ModelActivated(
        identifier=_CLASSIFIER,
        role="classifier",
        version="1.0.0",
        manifest_digest=_DIGEST,
        nonce="c07a11",
        replaced="SurfaceClassifier-0-9-0",
    ),
    ModelWaiting(
        identifier="SurfaceClassifier-1-1-0",
        role="classifier",
        version="1.1.0",
        manifest_digest=_DIGEST,
        nonce="d81b02",
        until="2026-11-28T21:00:00Z",
    ),
    ModelRetired(
        identifier="SurfaceClassifier-0-9-0",
        role="classifier",
        by="com.linewatch.EdgeAgent",
        reason="replaced by SurfaceClassifier-1-0-0",
    ),
    ModelRefused(identifier=_CLASSIFIER, nonce="b2e1f3", reason="model.onnx: SHA-256 differs from the manifest's"),
)
STATUS: tuple[Message, ...] = (
    Heartbeat(
        component="com.linewatch.EdgeAgent",
        station="line1",
        version="1.0.0",
        state=ComponentState.READY,
        at=_AT,
        started_at=_AT,
        uid=994,
        counters={"predictions": 1042, "predict_errors": 0},
        agent=AgentStatus(
            endpoint=f"{_WORK}/com.linewatch.EdgeAgent/agent.sock",
            boot_id="9f86d081",
            roles={
                "classifier": RoleStatus(
                    identifier=_CLASSIFIER,
                    version="1.0.0",
                    folder=f"{_WORK}/com.linewatch.EdgeAgent/models/{_CLASSIFIER}",
                    manifest_digest=_DIGEST,
                )
            },
            edge=EdgeHeartbeat(
                agent_version="1.0.0",
                device_name="press-01",
                device_fleet_name="plant-a",
                agent_metrics=[EdgeMetric(dimension="agent", metric_name="Predictions", value=1042, timestamp=_AT)],
                models=[
                    EdgeModel(
                        model_name="SurfaceClassifier",
                        model_version="1.0.0",
                        latest_sample_time=_AT,
                        latest_inference=_AT,
                        model_metrics=[
                            EdgeMetric(dimension=_CLASSIFIER, metric_name="MeanLatencyMs", value=5.4, timestamp=_AT)
                        ],
                    )
                ],
            ),
        ),
        inspector=InspectorStatus(
            ready=True,
            in_use=[_CLASSIFIER],
            ledger=f"{_WORK}/com.linewatch.Inspector/ledger.db",
            store=f"{_WORK}/com.linewatch.Inspector/store",
            outcomes={"pass": 1000, "fail": 42},
            judged_sequence=1042,
            judged_epoch=1763800000,
            alerts=[
                ActiveAlert(kind=AlertKind.DEFECTS_IN_A_ROW, detail="5 defective parts in a row", since=_AT, count=5)
            ],
        ),
        camera=CameraStatus(
            ring="/dev/shm/linewatch-line1.ring",  # noqa: S108 - an example
            epoch=1763800000,
            sequence=1042,
            source="folder /data/parts",
        ),
        model=ModelStatus(identifier=_CLASSIFIER, role="classifier", active=True),
    ),
)
COMMANDS: tuple[Message, ...] = (
    TriggerCapture(command_id="5f0c2f6e", part_id="part-0042"),
    PauseCapture(command_id="5f0c2f6f"),
    ResumeCapture(command_id="5f0c2f70"),
    SetPartId(command_id="5f0c2f71", part_id="part-0043"),
    LabelVerdict(command_id="5f0c2f72", frame_id=_FRAME, label="pass", operator="m.keller", note="dust, not a scratch"),
)
COMMAND_RESULTS: tuple[Message, ...] = (
    CommandResult(command_id="5f0c2f6e", component="com.linewatch.Camera", accepted=True, frame_id=_FRAME),
)

FLEET: tuple[Message, ...] = (
    FleetHealth(
        thing="plant1-line1-01",
        station="line1",
        at=_AT,
        since="2026-11-22T08:00:00.000000Z",
        sequence=135,
        components={
            "com.linewatch.EdgeAgent": ComponentHealth(version="1.0.0", state=ComponentState.READY),
            "com.linewatch.Inspector": ComponentHealth(version="1.0.0", state=ComponentState.READY),
        },
        models=[ModelUse(role="classifier", identifier=_CLASSIFIER, version="1.0.0")],
        outcomes={"pass": 38_122, "fail": 791, "review": 64, "late": 0, "missed": 2, "error": 0},
        latency_ms=[0, 20_411, 17_905, 612, 40, 9, *[0] * (len(LATENCY_BOUNDS_MS) - 5)],
        scores=[37_900, 222, *[0] * (SCORE_BINS - 4), 31, 824],
    ),
)
