"""Recipe variables in scripts and environments, with each runtime's habits on braces it cannot resolve."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcore.configuration import lookup, parse_pointer
from localcore.errors import InvalidArgumentsError, ResourceNotFoundError
from localcore.runtime import Runtime

_BRACES = re.compile(r"\{([^{}\n]*)\}?")
_LITE_SPECIAL = re.compile(r'(["$\\`])')

OtherComponent = Callable[[str], "Scope | None"]


@dataclass(frozen=True, slots=True)
class Scope:
    """What a component's variables stand for."""

    artifacts: Path
    decompressed: Path
    work: Path
    root: Path
    thing_name: str
    configuration: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Substituted:
    """The text, and what a reader of the log must know about it."""

    text: str
    warnings: tuple[str, ...] = ()


def substitute_script(text: str, scope: Scope, runtime: Runtime, other: OtherComponent) -> Substituted:
    """A lifecycle script as the runtime would run it: lite cuts it at the first brace that is no variable."""
    pieces: list[str] = []
    warnings: list[str] = []
    end = 0
    for match in _BRACES.finditer(text):
        value = resolve(match[1], scope, runtime, other) if match[0].endswith("}") else None
        reason = _refusal(match[0], value, runtime)
        if reason is None and value is not None:
            escaped = _LITE_SPECIAL.sub(r"\\\1", value) if runtime.escapes_variables else value
            pieces.append(text[end : match.start()] + escaped)
            end = match.end()
        elif runtime.truncates_at_braces:
            line = text.count("\n", 0, match.start()) + 1
            warnings.append(f"lite TRUNCATES this script at line {line}: {reason}; the rest is not run")
            return Substituted("".join(pieces) + text[end : match.start()], tuple(warnings))
    return Substituted("".join(pieces) + text[end:], tuple(warnings))


def _refusal(written: str, value: str | None, runtime: Runtime) -> str | None:
    if value is None:
        return f"{written!r} is no recipe variable with a value"
    limit = runtime.limits.variable_characters
    if limit is not None and len(value) > limit:
        return f"the value of {written} has {len(value)} characters, over the limit of {limit}"
    return None


def substitute_value(text: str, scope: Scope, runtime: Runtime, other: OtherComponent) -> str:
    """An environment variable or a policy's resource: variables resolved, unknown braces left alone, nothing escaped."""

    def replace(match: re.Match[str]) -> str:
        value = resolve(match[1], scope, runtime, other) if match[0].endswith("}") else None
        return match[0] if value is None else value

    return _BRACES.sub(replace, text)


def resolve(name: str, scope: Scope, runtime: Runtime, other: OtherComponent) -> str | None:
    """The value of one variable, None when there is none."""
    fixed = {
        "artifacts:path": str(scope.artifacts),
        "artifacts:decompressedPath": str(scope.decompressed),
        "work:path": f"{scope.work}/" if runtime.work_path_slash else str(scope.work),
        "kernel:rootPath": str(scope.root),
        "iot:thingName": scope.thing_name,
    }
    if name in fixed:
        return fixed[name]
    if name.startswith("configuration:"):
        return _configured(name.removeprefix("configuration:"), scope.configuration)
    component, colon, rest = name.partition(":")
    if colon and not runtime.is_lite and rest.partition(":")[0] in ("artifacts", "work", "configuration"):
        theirs = other(component)
        return None if theirs is None else resolve(rest, theirs, runtime, lambda _name: None)
    return None


def _configured(pointer: str, configuration: Mapping[str, Any]) -> str | None:
    try:
        value = lookup(configuration, parse_pointer(pointer))
    except (ResourceNotFoundError, InvalidArgumentsError):
        return None
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
