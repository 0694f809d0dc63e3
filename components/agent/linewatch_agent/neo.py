"""The files of a SageMaker Neo job among those of a folder."""

from collections.abc import Collection
from dataclasses import dataclass

from linewatch_agent.errors import NotLoadableError

# DLR's own library, which newer jobs put beside the model.
RUNTIME = "libdlr.so"
# JSON files that lie beside a model and are no graph.
_OTHER_JSON = frozenset({"manifest.json", "version.json", "artifact.json", "artefact.json", "latency.json"})


@dataclass(frozen=True, slots=True)
class NeoFiles:
    """Names in one folder: what the compiler made of the operators, the order they run in, the weights; `meta` describes the tensors."""

    library: str
    graph: str
    params: str
    meta: str | None = None
    runtime: str | None = None

    @property
    def all(self) -> tuple[str, ...]:
        """Every file that is read."""
        names = (self.library, self.graph, self.params, self.meta, self.runtime)
        return tuple(name for name in names if name is not None)


def libraries(names: Collection[str]) -> list[str]:
    """The compiled libraries among `names`, without DLR's own."""
    return sorted(name for name in names if name.endswith(".so") and name != RUNTIME)


def neo_files(names: Collection[str], library: str) -> NeoFiles:
    """The job that `library` belongs to. Raises NotLoadableError with one line that names what is missing, or more than once there."""
    if any(name.endswith(".ro") for name in names):
        raise NotLoadableError(
            f"{library}: is compiled for the Relay virtual machine (.ro), which this agent does not run; "
            "compile the model with fixed shapes, or publish it as ONNX"
        )
    graphs = [name for name in names if name.endswith(".json") and name not in _OTHER_JSON]
    params = [name for name in names if name.endswith(".params")]
    if not graphs and not params:
        raise NotLoadableError(
            f"{library}: its graph (.json) and its weights (.params) are not beside it: the job's result is not complete, "
            "or it is a tree model (Treelite), which this agent does not run"
        )
    described = [name for name in names if name.endswith(".meta")]
    return NeoFiles(
        library=library,
        graph=_only("graph (.json)", _preferred(graphs, library), library),
        params=_only("weights (.params)", params, library),
        meta=_only("description (.meta)", described, library) if described else None,
        runtime=RUNTIME if RUNTIME in names else None,
    )


def _preferred(graphs: list[str], library: str) -> list[str]:
    """The one that is named as Neo does; all of them where none is. Labels and the like may lie beside it."""
    stem = library.removesuffix(".so")
    usual = [name for name in (f"{stem}_model.json", f"{stem}.json", "model.json") if name in graphs]
    return usual[:1] or graphs


def _only(kind: str, names: list[str], library: str) -> str:
    if not names:
        raise NotLoadableError(f"{library}: its {kind} is not beside it; unpack the whole result of the Neo job")
    if len(names) > 1:
        raise NotLoadableError(
            f"{library}: several files could be its {kind}: {', '.join(sorted(names)[:5])}; keep one"
        )
    return names[0]
