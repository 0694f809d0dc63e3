"""Which version a package gets: MAJOR for the tensor or label contract, MINOR for the registry's version, PATCH for repackaging."""

from linewatch_common.approval import version_key
from linewatch_common.errors import PackageError
from linewatch_common.manifest import Manifest


def next_version(new: Manifest, previous: Manifest | None, registry: int | None = None) -> str:
    """The version of `new` (whose own one does not matter) after `previous`, the highest that was published under its name.

    `registry`: the number of the model in the registry, None without one: then new weights count as one more. Raises PackageError
    when the registry's number lies below the one that was published.
    """
    if previous is None:
        return f"1.{registry or 0}.0"
    major, minor, patch = version_key(previous.version)
    if _contract(new) != _contract(previous):
        return f"{major + 1}.{registry or 0}.0"
    if registry is None:
        registry = minor if _weights(new) == _weights(previous) else minor + 1
    if registry < minor:
        raise PackageError(
            f"{new.name}: registry version {registry} is older than {previous.version}, which is published"
        )
    return f"{major}.{registry}.0" if registry > minor else f"{major}.{minor}.{patch + 1}"


def check_version(new: Manifest, previous: Manifest | None, registry: int | None = None) -> None:
    """Raises PackageError with one line when `new` has another version than it must have."""
    wanted = next_version(new, previous, registry)
    if new.version == wanted:
        return
    before = "nothing" if previous is None else previous.version
    reason = "the tensors or labels changed" if _breaks(new, previous) else "tensors and labels are the same"
    if previous is None:
        reason = "it is the first"
    raise PackageError(f"{new.name}: version {new.version} is wrong after {before}: {reason}, so it must be {wanted}")


def _breaks(new: Manifest, previous: Manifest | None) -> bool:
    return previous is not None and _contract(new) != _contract(previous)


def _contract(manifest: Manifest) -> tuple[object, ...]:
    """What a client relies on: role, labels, tensors."""
    return manifest.role, manifest.labels, manifest.inputs, manifest.outputs


def _weights(manifest: Manifest) -> dict[str, str]:
    others = {manifest.golden.file, manifest.preparation.ignore}
    return {name: digest for name, digest in manifest.files.items() if name not in others}
