"""Whether policy documents admit a request: enough of IAM and AWS IoT to prove what a device cannot do.

Statements with Effect, Action and Resource; `*` and `?`; `${variables}`. A condition is read against whoever asks: an Allow with one
counts as if the condition held, a Deny with one as if it did not. So "denied" is certain, "allowed" is an upper bound.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_VARIABLE = re.compile(r"\$\{([^}]+)\}")


def allows(
    documents: Iterable[Mapping[str, Any]], action: str, resource: str, variables: Mapping[str, str] | None = None
) -> bool:
    """Whether the documents together admit `action` on `resource`: an explicit Deny wins, nothing said is a refusal."""
    matching = [
        statement
        for document in documents
        for statement in listed(document["Statement"])
        if _is_about(statement, action, resource, variables or {})
    ]
    denied = any(statement["Effect"] == "Deny" and not statement.get("Condition") for statement in matching)
    return not denied and any(statement["Effect"] == "Allow" for statement in matching)


def listed(value: Any) -> Sequence[Any]:
    """A policy's field as a list: one entry may stand alone."""
    return value if isinstance(value, list) else [value]


def _is_about(statement: Mapping[str, Any], action: str, resource: str, variables: Mapping[str, str]) -> bool:
    if unknown := set(statement) - {"Sid", "Effect", "Action", "Resource", "Condition", "Principal"}:
        raise ValueError(f"the evaluator does not know {sorted(unknown)}")
    actions = (_pattern(text.lower(), {}) for text in listed(statement["Action"]))
    resources = (_pattern(text, variables) for text in listed(statement.get("Resource", "*")))
    return any(pattern.fullmatch(action.lower()) for pattern in actions) and any(
        pattern.fullmatch(resource) for pattern in resources
    )


def _pattern(text: str, variables: Mapping[str, str]) -> re.Pattern[str]:
    """A variable's value is literal; a variable that has no value matches nothing."""
    parts: list[str] = []
    position = 0
    for match in _VARIABLE.finditer(text):
        value = variables.get(match[1])
        parts += [_wild(text[position : match.start()]), r"(?!)" if value is None else re.escape(value)]
        position = match.end()
    return re.compile("".join([*parts, _wild(text[position:])]), re.DOTALL)


def _wild(text: str) -> str:
    pieces = re.split(r"([*?])", text)
    return "".join({"*": ".*", "?": "."}.get(piece, re.escape(piece)) for piece in pieces)
