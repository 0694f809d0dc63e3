"""The size limits of lite; classic sets none of these."""

from typing import Any

import pytest

from localcore.errors import DeploymentError
from localcore.limits import check_configuration, json_message_survives
from localcore.runtime import RUNTIMES

LITE = RUNTIMES["lite"].limits
CLASSIC = RUNTIMES["classic"].limits


def nested(depth: int) -> dict[str, Any]:
    return {"x": nested(depth - 1)} if depth > 1 else {}


@pytest.mark.parametrize(
    ("message", "survives"),
    [
        ({"l": list(range(42))}, True),
        ({"l": list(range(43))}, False),
        ({str(i): i for i in range(23)}, True),
        ({str(i): i for i in range(24)}, False),
        (nested(6), True),
        (nested(7), False),
        ({"l": [{"m": list(range(43))}]}, False),
    ],
)
def test_json_messages(message: dict[str, Any], survives: bool) -> None:
    assert json_message_survives(message, LITE) is survives
    assert json_message_survives(message, CLASSIC)


def test_a_leaf_has_at_most_1022_bytes_as_json() -> None:
    check_configuration("A", {"deep": {"text": "x" * 1020}}, LITE)
    with pytest.raises(DeploymentError, match="A: configuration /deep/text: a leaf of 1023 B"):
        check_configuration("A", {"deep": {"text": "x" * 1021}}, LITE)
    with pytest.raises(DeploymentError, match="/list"):
        check_configuration("A", {"list": ["x" * 500] * 3}, LITE)
    check_configuration("A", {"text": "x" * 5000}, CLASSIC)


def test_access_control_of_a_service_has_at_most_4_kib() -> None:
    policies = {str(index): {"operations": ["*"], "resources": ["t" * 100]} for index in range(40)}
    with pytest.raises(DeploymentError, match=r"accessControl of aws\.greengrass\.ipc\.pubsub is"):
        check_configuration("A", {"accessControl": {"aws.greengrass.ipc.pubsub": policies}}, LITE)
