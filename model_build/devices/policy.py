"""The AWS IoT policy of one device: literal ARNs, no policy variables.

A core opens several connections with client ids that begin with its thing's name (`{thing}`, `{thing}#2` …), so variables of the
connection's thing do not hold for it. Names of one length keep `{thing}*` from being another device's.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from linewatch_common.errors import InputError

MAX_POLICY_BYTES = 2048  # AWS IoT's limit on a policy document, white space not counted
_NAME = re.compile(r"^[a-z0-9][a-z0-9-]{1,38}[a-z0-9]$")


@dataclass(frozen=True, slots=True)
class Place:
    """Where in AWS the fleet lives."""

    account: str
    region: str
    partition: str = "aws"

    def arn(self, service: str, resource: str) -> str:
        """An ARN of this account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"


def check_name(thing: str, others: Iterable[str]) -> None:
    """Raise InputError unless `thing` is a plain name, as long as every other device's: so that none is another's prefix."""
    if _NAME.fullmatch(thing) is None:
        raise InputError(f"{thing!r}: a device's name has 3 to 40 of a-z, 0-9 and '-', for example plant-a-0007")
    different = sorted(other for other in others if len(other) != len(thing))
    if different:
        raise InputError(
            f"{thing!r} has {len(thing)} characters, {different[0]!r} of this fleet has {len(different[0])}: all names have one "
            "length, so that no device's name begins with another's. Pad the number with zeros"
        )


def device_policy(place: Place, thing: str, role_alias: str) -> bytes:
    """The document as bytes, the same from run to run. Raises InputError when it is too long for AWS IoT."""
    document = json.dumps({"Version": "2012-10-17", "Statement": _statements(place, thing, role_alias)}, indent=1)
    if len("".join(document.split())) > MAX_POLICY_BYTES:
        raise InputError(f"{thing}: its policy is longer than the {MAX_POLICY_BYTES} bytes that AWS IoT takes")
    return document.encode()


def _statements(place: Place, thing: str, role_alias: str) -> list[dict[str, Any]]:
    own = f"$aws/things/{thing}"
    return [
        _allow(["iot:Connect"], [place.arn("iot", f"client/{thing}*")]),
        _allow(
            ["iot:Publish", "iot:Receive"],
            [
                place.arn("iot", f"topic/{own}/greengrass*/health/json"),  # greengrass and greengrassv2
                place.arn("iot", f"topic/{own}/jobs/*"),
                place.arn("iot", f"topic/{own}/shadow/*"),
                place.arn("iot", f"topic/linewatch/fleet/{thing}/*"),
            ],
        ),
        _allow(
            ["iot:Subscribe"],
            [place.arn("iot", f"topicfilter/{own}/jobs/*"), place.arn("iot", f"topicfilter/{own}/shadow/*")],
        ),
        _allow(
            ["iot:GetThingShadow", "iot:UpdateThingShadow", "iot:DeleteThingShadow"],
            [place.arn("iot", f"thing/{thing}")],
        ),
        _allow(["iot:AssumeRoleWithCertificate"], [place.arn("iot", f"rolealias/{role_alias}")]),
        _allow(
            [
                "greengrass:GetComponentVersionArtifact",
                "greengrass:ResolveComponentCandidates",
                "greengrass:GetDeploymentConfiguration",
                "greengrass:ListThingGroupsForCoreDevice",
            ],
            ["*"],  # AWS documents no narrower resource for a core's own calls
        ),
    ]


def _allow(actions: list[str], resources: list[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}
