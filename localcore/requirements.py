"""Versions and version requirements: npm's notation on classic, space-joined comparators on lite."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import total_ordering

from localcore.errors import RequirementError

_VERSION = re.compile(r"(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")
_PARTIAL = re.compile(r"v?(\d+|[xX*])(?:\.(\d+|[xX*]))?(?:\.(\d+|[xX*]))?(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")
_COMPARATOR = re.compile(r"(>=|<=|>|<|=)?\s*(\S+)")
_NPM_TERM = re.compile(r"(\^|~>?|>=|<=|>|<|=)?\s*(\S+)")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")


@total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """A semantic version; a pre-release sorts before its release."""

    major: int
    minor: int
    patch: int
    pre: str = ""

    @classmethod
    def parse(cls, text: str) -> "Version":
        """Raises RequirementError."""
        match = _VERSION.fullmatch(text)
        if match is None:
            raise RequirementError(f"version {text[:60]!r} is not of the form 1.2.3")
        return cls(int(match[1]), int(match[2]), int(match[3]), match[4] or "")

    def __lt__(self, other: "Version") -> bool:
        return self._key() < other._key()

    def _key(self) -> tuple[int, int, int, int, tuple[tuple[int, int, str], ...]]:
        parts = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.pre.split(".") if part)
        return (self.major, self.minor, self.patch, 0 if self.pre else 1, parts)


@dataclass(frozen=True, slots=True)
class _Bound:
    """One comparison."""

    operator: str
    version: Version

    def admits(self, version: Version) -> bool:
        return _OPERATORS[self.operator](version, self.version)


_OPERATORS: dict[str, Callable[[Version, Version], bool]] = {
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
    "=": lambda a, b: a == b,
}


@dataclass(frozen=True, slots=True)
class Requirement:
    """Alternatives, each a set of bounds that must all hold."""

    text: str
    alternatives: tuple[tuple[_Bound, ...], ...]

    def admits(self, version: str) -> bool:
        """Whether `version` satisfies it. Raises RequirementError on a version that cannot be read."""
        parsed = Version.parse(version)
        return any(all(bound.admits(parsed) for bound in bounds) for bounds in self.alternatives)


def check_component_name(name: str) -> str:
    """`name` when it can be a component's: it becomes file names. Raises RequirementError."""
    if _NAME.fullmatch(name) is None or name.startswith("."):
        raise RequirementError(f"component name {name[:60]!r}: only letters, digits, '.', '_' and '-', at most 128")
    return name


def parse_requirement(text: str, *, npm: bool) -> Requirement:
    """Raises RequirementError naming what this runtime does not read."""
    return Requirement(text, _parse_npm(text) if npm else (_parse_lite(text),))


def _parse_lite(text: str) -> tuple[_Bound, ...]:
    if text.strip() in ("", "*"):
        return ()
    bounds = []
    for term in re.sub(r"(>=|<=|>|<|=)\s+", r"\1", text).split():
        match = _COMPARATOR.fullmatch(term)
        if match is None or _VERSION.fullmatch(match[2]) is None:
            raise RequirementError(
                f"version requirement {text!r}: lite does not read {term!r}; write it as '>=1.0.0 <2.0.0'"
            )
        bounds.append(_Bound(match[1] or "=", Version.parse(match[2])))
    return tuple(bounds)


def _parse_npm(text: str) -> tuple[tuple[_Bound, ...], ...]:
    return tuple(_parse_npm_set(part.strip(), text) for part in text.split("||"))


def _parse_npm_set(part: str, whole: str) -> tuple[_Bound, ...]:
    hyphen = re.fullmatch(r"(\S+)\s+-\s+(\S+)", part)
    if hyphen is not None:
        low, _ = _range(hyphen[1], whole)
        _, high = _range(hyphen[2], whole)
        return (_Bound(">=", low), _Bound("<", high))
    bounds: list[_Bound] = []
    for term in re.sub(r"(\^|~>?|>=|<=|>|<|=)\s+", r"\1", part).split():
        match = _NPM_TERM.fullmatch(term)
        if match is None:
            raise RequirementError(f"version requirement {whole!r}: cannot read {term!r}")
        bounds.extend(_npm_bounds(match[1] or "", match[2], whole))
    return tuple(bounds)


def _npm_bounds(operator: str, text: str, whole: str) -> tuple[_Bound, ...]:
    low, high = _range(text, whole)
    if operator == "^":
        return (_Bound(">=", low), _Bound("<", _caret_end(low, text)))
    if operator.startswith("~"):
        end = Version(low.major + 1, 0, 0) if text.count(".") == 0 else Version(low.major, low.minor + 1, 0)
        return (_Bound(">=", low), _Bound("<", end))
    if operator in (">", "<="):  # `>1` means above all of 1.x, `<=1` up to all of 1.x
        return (_Bound(">=" if operator == ">" else "<", high),)
    if operator in (">=", "<"):
        return (_Bound(operator, low),)
    return (_Bound(">=", low), _Bound("<", high))


def _caret_end(low: Version, text: str) -> Version:
    if low.major > 0 or text.count(".") == 0:
        return Version(low.major + 1, 0, 0)
    if low.minor > 0 or text.count(".") == 1:
        return Version(0, low.minor + 1, 0)
    return Version(0, 0, low.patch + 1)


_EVERYTHING = Version(10**9, 0, 0)


def _range(text: str, whole: str) -> tuple[Version, Version]:
    """The first version of a possibly partial one, and the first after it."""
    match = _PARTIAL.fullmatch(text)
    if match is None:
        raise RequirementError(f"version requirement {whole!r}: cannot read {text!r}")
    numbers = [int(part) if part and part.isdigit() else None for part in match.groups()[:3]]
    major, minor, patch = numbers
    if major is None:
        return Version(0, 0, 0), _EVERYTHING
    if minor is None:
        return Version(major, 0, 0), Version(major + 1, 0, 0)
    if patch is None:
        return Version(major, minor, 0), Version(major, minor + 1, 0)
    exact = Version(major, minor, patch, match[4] or "")
    after = Version(major, minor, patch) if exact.pre else Version(major, minor, patch + 1, "0")
    return exact, after
