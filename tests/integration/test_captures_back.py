"""The way back from the fleet: Inspector's captures, in the lines that the agent writes, from S3 to rates and to a data set."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import cv2
import httpx
import numpy as np
import pytest
from linewatch_agent.captures.lines import AcceptedCapture, LineWriter, Origin
from linewatch_agent.captures.request import AuxiliaryItem, CaptureRequest, Encoding, Moment
from linewatch_agent_api.client import Capture
from linewatch_common.captured import Stratum
from linewatch_common.errors import InputError, UnavailableError
from linewatch_common.messages import LabelVerdict, ModelUse, Outcome, Verdict
from linewatch_inspector.captures.making import of_inspection, of_label
from linewatch_inspector.ended import Ended, Picture
from moto.server import ThreadedMotoServer

from model_build.__main__ import main
from model_build.captures.fetching import Source, fetch
from model_build.captures.lines import read_captures
from model_build.captures.rates import rates
from model_build.data.pixels import decode_picture
from model_build.data.readers import reader_for
from model_build.data.records import Options

BUCKET, HOUR = "linewatch-captures", "sme/plant/Surface/2026/11/22/10"
MODEL = "Surface-1-0-0"
NOW = "2026-11-22T10:00:00.000000Z"


def inspection(number: int, outcome: Outcome, stratum: Stratum) -> Capture:
    verdict = Verdict(
        inspection_id="i",
        frame_id=f"line1-1-{number:06}",
        station="line1",
        outcome=outcome,
        captured_at=NOW,
        published_at=NOW,
        part_id=f"part-{number}",
        models=[ModelUse(role="classifier", identifier=MODEL, version="1.0.0")],
    )
    pixels = np.full((8, 6), number, np.uint8)
    item = Ended(verdict=verdict, monotonic_ns=None, picture=Picture(pixels=pixels, pixel_format="Mono8"))
    return of_inspection(item, stratum, 10.0, [MODEL])


def word(number: int, label: Any, command: str = "c1", at: str = NOW) -> Capture:
    return of_label(
        LabelVerdict(command_id=command, frame_id=f"line1-1-{number:06}", label=label, operator="ann"), MODEL, at
    )


def pushed(folder: Path, device: str, *captures: Capture, name: str = "0" * 32) -> None:
    """What the agent makes of captures, below `folder` as below the bucket."""
    accepted = [AcceptedCapture(_request(capture), Moment.now(), "Surface", "1.0.0") for capture in captures]
    files = LineWriter(Origin("plant", device), 3072, f"s3://{BUCKET}/{HOUR}", name).write(accepted)
    hour = folder / HOUR
    for place, data in {f"{name}.jsonl": files.lines, **files.raw}.items():
        (hour / place).parent.mkdir(parents=True, exist_ok=True)
        (hour / place).write_bytes(data)


def _request(capture: Capture) -> CaptureRequest:
    def items(said: Any) -> tuple[AuxiliaryItem, ...]:
        return tuple(AuxiliaryItem(item.name, Encoding(item.encoding.value), item.data) for item in said)

    return CaptureRequest(
        capture.model,
        capture.capture_id,
        auxiliary_inputs=items(capture.auxiliary_inputs),
        auxiliary_outputs=items(capture.auxiliary_outputs),
    )


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL_S3": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    yield client
    httpx.post(f"http://{host}:{port}/moto-api/reset")  # moto's state is the process's
    server.stop()


def test_only_the_random_draw_tells_of_rates(tmp_path: Path) -> None:
    drawn = [inspection(n, Outcome.FAIL if n < 2 else Outcome.PASS, "random") for n in range(10)]
    others = [inspection(n, Outcome.FAIL, "not-pass") for n in range(10, 30)]
    words = [word(0, "pass"), word(5, "fail"), word(6, "pass"), word(12, "pass")]
    pushed(tmp_path, "press-01", *drawn, *others, *words)
    (row,) = rates(read_captures(tmp_path))
    assert (row.model, row.drawn, row.rejects) == (MODEL, 10, 2)
    assert (row.labelled, row.escapes, row.false_rejects) == (3, 1, 1)
    assert row.reject_rate[0] < 0.2 < row.reject_rate[1]


def test_labelled_parts_become_a_data_set_and_the_last_word_counts(tmp_path: Path) -> None:
    later = word(1, "fail", command="c2", at="2026-11-22T11:00:00.000000Z")
    pushed(tmp_path, "press-01", inspection(1, Outcome.PASS, "random"), later, word(1, "pass"))
    pushed(tmp_path, "press-02", inspection(1, Outcome.PASS, "random"), word(1, "pass"), name="1" * 32)
    pushed(tmp_path, "press-02", inspection(2, Outcome.PASS, "random"), name="2" * 32)
    reader = reader_for(tmp_path)
    assert reader.name == "fleet"
    records = {record.id: record for record in reader.records(tmp_path, Options())}
    assert {name: record.defective for name, record in records.items()} == {
        "press-01-line1-1-000001": True,
        "press-02-line1-1-000001": False,
    }
    assert decode_picture(records["press-01-line1-1-000001"].picture(), "x").tolist() == np.full((8, 6), 1).tolist()
    assert records["press-01-line1-1-000001"].part == "press-01/part-1"


def test_a_capture_that_came_twice_counts_once_and_stays_random(tmp_path: Path) -> None:
    pushed(tmp_path, "press-01", inspection(1, Outcome.PASS, "random"))
    pushed(tmp_path, "press-01", inspection(1, Outcome.PASS, "labelled"), name="f" * 32)
    (captured,) = read_captures(tmp_path).inspections.values()
    assert captured.record.stratum == "random"


def test_lines_of_other_programs_are_counted_and_a_cut_line_is_named(tmp_path: Path) -> None:
    pushed(tmp_path, "press-01", Capture(model=MODEL, capture_id="theirs"))
    found = read_captures(tmp_path)
    assert (found.foreign, found.inspections) == (1, {})
    path = tmp_path / HOUR / f"{'0' * 32}.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"0\.jsonl:1: not a captured line"):
        read_captures(tmp_path)


def test_a_reference_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    pushed(tmp_path, "press-01", inspection(1, Outcome.PASS, "random"))
    path = tmp_path / HOUR / f"{'0' * 32}.jsonl"
    line = json.loads(path.read_text())
    line["deviceFleetAuxiliaryInputs"][0]["data-ref"] = "s3://b/raw-data/../../../../etc/passwd"
    path.write_text(json.dumps(line))
    with pytest.raises(InputError, match="no reference to raw data"):
        read_captures(tmp_path)


def test_a_fetch_mirrors_the_bucket_and_goes_on_where_it_was(
    tmp_path: Path, s3: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    sent, got = tmp_path / "sent", tmp_path / "got"
    pushed(sent, "press-01", inspection(1, Outcome.PASS, "random"), word(1, "fail"))
    for path in sorted(p for p in sent.rglob("*") if p.is_file()):
        s3.upload_file(str(path), BUCKET, path.relative_to(sent).as_posix())
    s3.put_object(Bucket=BUCKET, Key="sme/plant/Surface/2026/10/01/10/old.jsonl", Body=b"{}")
    s3.put_object(Bucket=BUCKET, Key="sme/plant/readme.txt", Body=b"not captured")
    s3.put_object(Bucket=BUCKET, Key=f"{HOUR}/raw-data/", Body=b"")  # as consoles and mounts mark a folder
    command = ["captures", "fetch", f"s3://{BUCKET}/sme/plant", str(got), "--since", "2026-11-01"]
    assert main(command) == 0
    assert "2 object(s) fetched, 0 were there" in capsys.readouterr().out
    next(got.rglob("*.png")).unlink()
    assert main(command) == 0
    assert "1 object(s) fetched, 1 were there" in capsys.readouterr().out
    assert main(["captures", "rates", str(got)]) == 0
    assert f"{MODEL}: 0 of 1 rejected" in capsys.readouterr().out
    assert cv2.imread(str(next(got.rglob("*.png")))) is not None


def test_a_bucket_that_is_not_there_and_a_wrong_address_are_told(
    tmp_path: Path, s3: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UnavailableError, match="s3://nowhere-linewatch/"):
        fetch(s3, Source.parse("s3://nowhere-linewatch"), tmp_path, lambda things: things)
    assert main(["captures", "fetch", "http://bucket/x", str(tmp_path)]) == 1
    assert "expected s3://BUCKET/PREFIX" in capsys.readouterr().err
