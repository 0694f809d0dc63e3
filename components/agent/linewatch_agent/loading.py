"""From a folder to a model that is warm and ready to predict."""

import contextlib
import resource
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from linewatch_common.manifest import Manifest

from linewatch_agent.backends.port import Backend, Net
from linewatch_agent.edge_package import EdgePackage
from linewatch_agent.errors import BadRequestError, NoMemoryError, NotLoadableError, RuntimeEndedError
from linewatch_agent.folders import Format, ModelSource, find_model, told_when_gone
from linewatch_agent.tensors import TensorSpec, zeros
from linewatch_agent.trust import Trust


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A compiled, warm model. `url` is the folder as it was asked for."""

    url: str
    net: Net
    memory_bytes: int
    manifest: Manifest | None = None
    packaged: EdgePackage | None = None

    @property
    def stated(self) -> Manifest | EdgePackage | None:
        """Where its own name and version stand, if they do."""
        return self.manifest or self.packaged


class ModelLoader:
    """Loads with the backend of each format what `trust` admits."""

    def __init__(self, backends: Mapping[Format, Backend], trust: Trust) -> None:
        self._backends = backends
        self._trust = trust

    def find(self, folder: Path) -> ModelSource:
        """What lies in `folder`, verified. Raises as `find_model`."""
        return find_model(folder, self._trust)

    def load(self, source: ModelSource, url: str) -> LoadedModel:
        """Compile, compare with the manifest, warm up. Raises NotLoadableError, NothingThereError, NoMemoryError.

        The memory counted is what the process grew by, with what the model holds in another one, and at least the size of the model's file.
        """
        before = resident_bytes()
        backend = self._backends.get(source.format)
        if backend is None:
            raise NotLoadableError(f"{source.path.name}: this agent has no runtime for {source.format} models")
        try:
            with told_when_gone(source.path.parent):
                net = backend.load(source.path)
            if source.manifest is not None:
                _check_against(source.manifest, net)
            _refuse_doubles(net)
            _warm_up(net)
        except MemoryError as error:
            raise NoMemoryError(
                f"{source.path.name}: this machine has too little memory for its tensors; unload a model, or make them smaller"
            ) from error
        grown = resident_bytes() - before + net.outside_bytes
        return LoadedModel(url, net, max(grown, source.size_bytes), source.manifest, source.packaged)


def resident_bytes() -> int:
    """The memory of this process that is in RAM."""
    with contextlib.suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * resource.getpagesize()
    return 0


def _refuse_doubles(net: Net) -> None:
    for kind, specs in (("inputs", net.inputs), ("outputs", net.outputs)):
        if len({spec.name for spec in specs}) < len(specs):
            raise NotLoadableError(f"two {kind} have the same name: {_listed(specs)}; give each its own")


def _warm_up(net: Net) -> None:
    """The first run allocates and is slow: it must not be a client's. A model that fails on zeros is not ready."""
    inputs = zeros(net.inputs)
    if inputs is None:
        return  # sizes are the client's choice
    try:
        net.predict(inputs)
        net.predict(inputs)
    except (BadRequestError, RuntimeEndedError) as error:
        raise NotLoadableError(f"the model does not run: {error}") from error


def _check_against(manifest: Manifest, net: Net) -> None:
    for kind, stated, actual in (
        ("input", manifest.inputs, net.inputs),
        ("output", manifest.outputs, net.outputs),
    ):
        wanted = sorted((tensor.name, tensor.dtype, tensor.shape) for tensor in stated)
        found = sorted((spec.name, str(spec.dtype), spec.shape) for spec in actual)
        if wanted != found:
            raise NotLoadableError(
                f"{manifest.model}: its {kind}s are {_listed(actual)}, the manifest of {manifest.identifier} says "
                + ", ".join(f"{tensor.name!r} {tensor.dtype}{list(tensor.shape)}" for tensor in stated)
            )


def _listed(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(str(spec) for spec in specs)
