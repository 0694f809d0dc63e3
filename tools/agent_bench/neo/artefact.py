"""The net and its compiled form, made once for this processor and these sources, and kept below build/ by their digest."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from linewatch_common.errors import UnavailableError

from tools.line.line import ROOT

BENCH_PYTHON = ROOT / ".venv-bench/bin/python"
TVM_PYTHON = ROOT / ".venv-tvm/bin/python"
TVM = ROOT / ".venv-tvm/tvm"  # the compiler's packages, see the Makefile
LINKER = "g++"
# All that decides what is made, beside the processor.
SOURCES = (
    *(ROOT / "tools/agent_bench" / name for name in ("nets.py", "shapes.py", "neo/net.py", "neo/compiler.py")),
    *(ROOT / "locks" / name for name in ("bench.txt", "tvm.txt")),
)
# What the processor must have, and its name for LLVM (and Neo); the first that fits. Code for less than these TVM compiles wrongly here.
PROCESSORS = (("avx512vl", "skylake-avx512"), ("avx2", "core-avx2"))
# Half a minute on a core of its own.
MAKE_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class NeoModel:
    """Two folders with the same net, each as the agent loads it."""

    onnx: Path
    compiled: Path


def made(folder: Path, processor: str, compiler: Path = TVM_PYTHON) -> NeoModel:
    """The net below `folder`, from an earlier run or new. Raises UnavailableError saying why this machine has none."""
    kept = folder / digest(processor)
    if not kept.exists():
        _make(kept, processor, compiler)
    return _within(kept)


def this_processor() -> str:
    """The name of this machine's for the compiler. Raises UnavailableError."""
    return processor_of(Path("/proc/cpuinfo").read_text(encoding="utf-8"))


def processor_of(cpuinfo: str) -> str:
    """The name of the processor with this /proc/cpuinfo. Raises UnavailableError."""
    flags = next((line.split() for line in cpuinfo.splitlines() if line.startswith("flags")), [])
    for needed, name in PROCESSORS:
        if needed in flags:
            return name
    raise UnavailableError("the net is compiled for x86_64 with AVX2 only")


def digest(processor: str, sources: Iterable[Path] = SOURCES) -> str:
    """Names what `sources` make for `processor`."""
    whole = hashlib.sha256(processor.encode())
    for source in sources:
        whole.update(hashlib.sha256(source.read_bytes()).digest())
    return whole.hexdigest()[:16]


def _within(folder: Path) -> NeoModel:
    return NeoModel(folder / "onnx", folder / "compiled")


def _make(kept: Path, processor: str, compiler: Path) -> None:
    for needed in (BENCH_PYTHON, compiler, TVM):
        if not needed.exists():
            raise UnavailableError(
                f"{needed.relative_to(ROOT)} is not there: `make bench` installs the compiler where it can be had"
            )
    if shutil.which(LINKER) is None:
        raise UnavailableError(f"{LINKER} is not installed, which links compiled nets")
    shutil.rmtree(kept.parent, ignore_errors=True)  # what older sources made
    kept.parent.mkdir(parents=True)
    work = kept.with_suffix(".part")
    model = _within(work)
    _run("the net cannot be made", [BENCH_PYTHON, "-m", "tools.agent_bench.neo.net", model.onnx], {})
    command: list[str | Path] = [
        compiler,
        "-m",
        "tools.agent_bench.neo.compiler",
        model.onnx / "model.onnx",
        model.compiled,
        processor,
    ]
    # Else TVM looks for schedules on the network.
    _run("the net cannot be compiled", command, {"PYTHONPATH": f"{ROOT}:{TVM}", "AUTOTVM_TOPHUB_LOC": "NONE"})
    work.rename(kept)


def _run(failure: str, command: list[str | Path], variables: Mapping[str, str]) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | dict(variables)
    try:
        ended = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=MAKE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"{failure} within {MAKE_SECONDS:.0f} s") from error
    if ended.returncode:
        said = ended.stderr.strip().splitlines() or ["no reason given"]
        raise UnavailableError(f"{failure}: {said[-1]}")
