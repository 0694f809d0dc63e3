"""ARNs, pages, and what both services say of things that are not there."""

import hashlib
from typing import Any

from tests.fakes.greengrassv2.wire import RefusedError

ACCOUNT = "123456789012"
REGION = "eu-central-1"


def group_arn(name: str) -> str:
    """A thing group's ARN."""
    return f"arn:aws:iot:{REGION}:{ACCOUNT}:thinggroup/{name}"


def component_arn(name: str, version: str) -> str:
    """A component version's ARN."""
    return f"arn:aws:greengrass:{REGION}:{ACCOUNT}:components:{name}:versions:{version}"


def job_arn(identifier: str) -> str:
    """The ARN of a deployment's job."""
    return f"arn:aws:iot:{REGION}:{ACCOUNT}:job/{identifier}"


def missing(identifier: str, kind: str) -> RefusedError:
    """What is said of what does not exist."""
    return RefusedError(
        "ResourceNotFoundException", f"{identifier} was not found", resourceId=identifier, resourceType=kind
    )


def page(p: dict[str, Any], name: str, rows: list[Any]) -> dict[str, Any]:
    """At most maxResults rows; the token is opaque, and another query's is refused."""
    query = repr(sorted((key, value) for key, value in p.items() if key not in {"nextToken", "maxResults"}))
    seal = hashlib.sha256(f"{name}{query}".encode()).hexdigest()[:12]
    start = 0
    if token := p.get("nextToken"):
        place, _, sealed = token.partition(".")
        if sealed != seal or not place.isdigit():
            raise RefusedError("ValidationException", "nextToken is not valid")
        start = int(place)
    end = start + p.get("maxResults", 50)
    return {name: rows[start:end]} | ({"nextToken": f"{end}.{seal}"} if end < len(rows) else {})
