"""Compiles an ONNX net into the three files of a SageMaker Neo job, by TVM: `... neo.compiler MODEL FOLDER PROCESSOR`.

Runs in the environment of the group `tvm`, and needs g++, which links the library. Neo is the same compiler with schedules that
were tuned to the processor; TVM's own are not.
"""

import sys
from pathlib import Path
from typing import Any

import onnx
import tvm
from tvm import relay

# Neo's; packs layouts for the processor's vectors.
OPTIMISATION_LEVEL = 3


def compiled(model: Path, folder: Path, processor: str) -> None:
    """Write compiled.so, compiled_model.json and compiled.params for `processor`, as LLVM and Neo's option `mcpu` name it."""
    net = onnx.load(model)
    module, parameters = relay.frontend.from_onnx(net, {net.graph.input[0].name: _sides(net)}, freeze_params=True)
    with tvm.transform.PassContext(opt_level=OPTIMISATION_LEVEL):
        library = relay.build(module, target=f"llvm -mcpu={processor}", params=parameters)
    folder.mkdir(parents=True, exist_ok=True)
    library.get_lib().export_library(str(folder / "compiled.so"), options=["-s"])
    (folder / "compiled_model.json").write_text(library.get_graph_json(), encoding="utf-8")
    (folder / "compiled.params").write_bytes(tvm.runtime.save_param_dict(library.get_params()))


def _sides(net: Any) -> tuple[int, ...]:
    return tuple(side.dim_value for side in net.graph.input[0].type.tensor_type.shape.dim)


if __name__ == "__main__":
    compiled(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
