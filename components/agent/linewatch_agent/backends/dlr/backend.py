"""DLR behind the port. An extra, not part of the artefact; an artefact may also bring its own library."""

import importlib.metadata
import logging
import os
import sys
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from linewatch_agent.architecture import refuse_foreign
from linewatch_agent.backends.dlr.process import DlrProcess, EndedError
from linewatch_agent.backends.dlr.wire import MAX_BODY_BYTES, Described, Load, Loaded, Message, Ran, Refused, Run
from linewatch_agent.backends.specs import spec_for_wire
from linewatch_agent.errors import BadRequestError, NothingThereError, NotLoadableError, RuntimeEndedError
from linewatch_agent.neo import RUNTIME, NeoFiles, neo_files
from linewatch_agent.tensors import Tensors, TensorSpec
from linewatch_agent.turns import FairLock

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds. `load`: some hundred MB of weights from a slow card. `run`: DLR's slowest net on a small device takes a few."""

    load: float = 120.0
    run: float = 30.0


def installed_runtime() -> Path | None:
    """The library of the installed package `dlr`, which is not imported; None without one (later versions bring none)."""
    try:
        files = importlib.metadata.files("dlr") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    stated = [Path(os.fspath(file.locate())).resolve() for file in files if file.name == RUNTIME]
    # `pip install --target` puts it elsewhere than the package's list of files says.
    beside = [Path(folder, "dlr", RUNTIME).resolve() for folder in sys.path]
    return next((path for path in (*stated, *beside) if path.is_file()), None)


class DlrBackend:
    """Runs on the CPU. `threads` per prediction; 0 takes all cores. `runtime` finds the library of the extra."""

    name = "dlr"

    def __init__(
        self,
        threads: int = 0,
        patience: Patience = Patience(),
        runtime: Callable[[], Path | None] = installed_runtime,
    ) -> None:
        self._threads = threads
        self._patience = patience
        self._runtime = runtime

    def load(self, path: Path) -> "DlrNet":
        """See Backend. `path` is the compiled library; the job's other files lie beside it."""
        files = _files(path)
        request = Load(str(self._library(path, files)), str(path.parent), tuple(f"./{name}" for name in _read(files)))
        process = DlrProcess(self._threads)
        try:
            process.start()
            log.info("%s: DLR runs it in process %d", path, process.pid)
            answer, _ = process.ask(request, (), 0, self._patience.load)
            return DlrNet(path.name, process, _accepted(path, process, answer), self._patience.run)
        except EndedError as error:
            raise NotLoadableError(f"{path.name}: DLR cannot load it: its process {error}") from error
        except BaseException:
            process.close()
            raise

    def _library(self, path: Path, files: NeoFiles) -> Path:
        """The artefact's own, as it was compiled for that; else the extra's."""
        if files.runtime is not None:
            return path.parent / files.runtime
        found = self._runtime()
        if found is None:
            raise NotLoadableError(
                "DLR is not installed: it is the extra 'dlr' (dlr 1.6.0 for x86_64), not part of the artefact; install it "
                f"as docs/agent.md says, or put the Neo job's own {RUNTIME} beside the model"
            )
        return found


class DlrNet:
    """A model in a process of its own: predictions on it run one after the other."""

    def __init__(self, name: str, process: DlrProcess, loaded: Loaded, seconds: float) -> None:
        self.inputs, self.outputs = _specs(loaded.inputs), _specs(loaded.outputs)
        self._sizes = [spec.nbytes for spec in loaded.outputs]
        for kind, specs in (("inputs", loaded.inputs), ("outputs", loaded.outputs)):
            size = sum(spec.nbytes for spec in specs)
            if size > MAX_BODY_BYTES:
                raise NotLoadableError(f"{name}: its {kind} are {size} bytes, at most {MAX_BODY_BYTES} can be sent")
        self._name = name
        self._seconds = seconds
        self._process = process
        self._lock = FairLock()
        weakref.finalize(self, process.close)

    @property
    def outside_bytes(self) -> int:
        """See Net."""
        return self._process.resident_bytes()

    @property
    def ended(self) -> str:
        """See Net."""
        why = self._process.ended
        return f"{self._name}: DLR's process {why}" if why else ""

    @property
    def pid(self) -> int:
        """Of the process that runs it."""
        return self._process.pid

    def predict(self, inputs: Tensors) -> Tensors:
        """See Net."""
        arrays = [np.ascontiguousarray(inputs[spec.name]) for spec in self.inputs]
        body = [array.reshape(-1).view(np.uint8).data for array in arrays]
        with self._lock:
            try:
                answer, content = self._process.ask(Run(), body, sum(self._sizes), self._seconds)
            except EndedError as error:
                raise RuntimeEndedError(f"{self._name}: DLR's process {error}") from error
            if isinstance(answer, Refused):
                raise BadRequestError(f"DLR refuses the inputs: {answer.reason}")
            if not isinstance(answer, Ran) or len(content) != sum(self._sizes):
                self._process.close("answered something else and was ended")
                raise RuntimeEndedError(self.ended)
        return self._outputs(content)

    def _outputs(self, content: bytearray) -> Tensors:
        outputs: Tensors = {}
        place = 0
        for spec, size in zip(self.outputs, self._sizes, strict=True):
            outputs[spec.name] = np.frombuffer(content, spec.dtype, size // spec.dtype.itemsize, place).reshape(
                spec.shape
            )
            place += size
        return outputs


def _accepted(path: Path, process: DlrProcess, answer: Message) -> Loaded:
    if isinstance(answer, Loaded):
        return answer
    reason = answer.reason if isinstance(answer, Refused) and answer.reason else process.words()
    raise NotLoadableError(f"{path.name}: DLR cannot load it: {reason or 'it gives no reason'}")


def _files(path: Path) -> NeoFiles:
    try:
        names = {entry.name for entry in os.scandir(path.parent) if entry.is_file()}
        if path.name not in names:
            raise NothingThereError(f"{path}: no such model file")
        files = neo_files(names, path.name)
        for library in filter(None, (files.library, files.runtime)):
            refuse_foreign(path.parent / library)
    except FileNotFoundError as error:
        raise NothingThereError(f"{path}: no such model file") from error
    except OSError as error:
        raise NotLoadableError(f"{path}: cannot be read: {error.strerror}") from error
    return files


def _read(files: NeoFiles) -> list[str]:
    """What DLR is given; it parts the names at colons."""
    names = [name for name in files.all if name != files.runtime]
    for name in names:
        if ":" in name or not name.isprintable():
            raise NotLoadableError(f"{name!a}: DLR takes plain names without a colon; rename the file")
    return names


def _specs(described: tuple[Described, ...]) -> tuple[TensorSpec, ...]:
    # What TVM calls uint1 is a bool.
    names = {"uint1": "bool"}
    return tuple(spec_for_wire(spec.name, names.get(spec.dtype, spec.dtype), spec.shape) for spec in described)
