"""One artefact's zip: the wheels' layer, our code on top, and the description last."""

import json
from dataclasses import dataclass
from pathlib import Path

from components.builder.archive import Content, append_file, extend_archive
from components.builder.cache import Cache, hash_of
from components.builder.errors import BuildError
from components.builder.sources import first_party
from components.builder.table import MEGABYTE, Architecture, Artefact
from components.builder.wheels import Layer

DESCRIPTION = "bundle.json"


@dataclass(frozen=True, slots=True)
class Order:
    """What to build: an artefact in one version for one architecture and Python; `model_package` for a model."""

    artefact: Artefact
    version: str
    architecture: Architecture
    python: str
    model_package: Path | None = None

    @property
    def name(self) -> str:
        """What people call it."""
        return self.artefact.zip_name(self.architecture.name)

    @property
    def slot(self) -> str:
        """Its place in the cache."""
        return f"{self.artefact.stem}-{self.architecture.name}-{self.version}-{self.python}"

    def layer(self, root: Path) -> Layer:
        """The wheels that it needs."""
        lock = root / "locks" / f"{self.artefact.group}.txt"
        return Layer(lock, self.architecture.platform(self.artefact.glibc_for(self.architecture.name)), self.python)


@dataclass(frozen=True, slots=True)
class Inputs:
    """Our own files of one zip, read once, so that an edit during the build cannot part them from the key.

    `key` is a hash of all that decides the zip's bytes.
    """

    key: str
    entries: list[tuple[str, bytes]]


def read_inputs(order: Order, root: Path) -> Inputs:
    """Raises BuildError when something is missing."""
    entries = first_party(root, order.artefact, order.model_package)
    parts: list[str | bytes] = [order.layer(root).key(), repr(order.artefact), order.version]
    parts += [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    for name, data in entries:
        parts += [name, data]
    return Inputs(hash_of(parts), entries)


def build_zip(order: Order, inputs: Inputs, cache: Cache, layer: tuple[Path, Content]) -> Path:
    """The zip, in the cache. Raises BuildError, also when it is larger than the table allows."""
    base, content = layer
    with cache.make("zips", order.slot, inputs.key, (".zip",)) as (path,):
        whole = extend_archive(path, base, content, inputs.entries)
        append_file(path, DESCRIPTION, _description(order, whole))
        size = path.stat().st_size
        if size > order.artefact.limit_mb * MEGABYTE:
            raise BuildError(
                f"{order.name} is {size / MEGABYTE:.1f} MB, at most {order.artefact.limit_mb} MB are allowed"
            )
    done = cache.get("zips", order.slot, inputs.key, ".zip")
    assert done is not None  # noqa: S101 - made above
    return done


def _description(order: Order, content: Content) -> bytes:
    """What the launcher reads (components/launcher/linewatch_launcher/bundle.py)."""
    fields = {
        "component": order.artefact.component,
        "version": order.version,
        "module": order.artefact.module,
        "python": order.python,
        "architecture": order.architecture.name,
        "glibc": order.artefact.glibc_for(order.architecture.name),
        "installs": order.artefact.installs,
        "digest": content.digest,
        "files": content.files,
        "size": content.size,
    }
    return (json.dumps(fields, indent=1) + "\n").encode()
