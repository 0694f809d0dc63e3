"""Makes tests/data/models/neo/: tiny nets as SageMaker Neo lays them out for DLR, with what ONNX Runtime says of the same nets.

TVM's compiler is no dependency of the project; it runs in an environment that is thrown away:
`pip install --target tvm hhb-tvm==2.4.5` (a wheel for Python 3.10; 3.11 needs `--only-binary :all: --python-version 3.10`), and beside it
`numpy<2 onnx onnxruntime decorator attrs psutil scipy tornado cloudpickle typing_extensions tqdm tflite`, and gcc, which links the
libraries. Then, in that folder (it leaves a cache there), `PYTHONPATH=tvm python <here>/make_neo.py`.

`net/`: `image` uint8 (1, 16, 16, 3) in, `mask` float32 (1, 2, 8, 8) and `score` float32 (1, 1) out, random weights from a seed.
`net.onnx`, `net.npz`: the same net and its answers. `score/`, `mask/`, `fused/`, `truth/`: the nets of make_models.py.
`crash.so`: a library that ends the process when it is loaded.
"""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import tvm
from onnx import TensorProto, helper, numpy_helper
from tvm import relay

MODELS = Path(__file__).parent / "models"
FOLDER = MODELS / "neo"
TARGET = "llvm -mcpu=x86-64"  # every machine that runs the tests has it


def net() -> Any:
    """Convolution, activation, pooling, two heads: what the runtime's operators are."""
    rng = np.random.default_rng(7)
    constants = {
        "scale": np.float32(255),
        "kernel": rng.normal(0, 0.4, (8, 3, 3, 3)).astype(np.float32),
        "bias": rng.normal(0, 0.1, 8).astype(np.float32),
        "head": rng.normal(0, 0.8, (2, 8, 1, 1)).astype(np.float32),
        "weights": rng.normal(0, 0.8, (8, 1)).astype(np.float32),
    }
    node = helper.make_node
    nodes = [
        node("Cast", ["image"], ["numbers"], to=TensorProto.FLOAT),
        node("Div", ["numbers", "scale"], ["shares"]),
        node("Transpose", ["shares"], ["planes"], perm=[0, 3, 1, 2]),
        node("Conv", ["planes", "kernel", "bias"], ["conv"], pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Relu", ["conv"], ["cells"]),
        node("Conv", ["cells", "head"], ["logits"]),
        node("Sigmoid", ["logits"], ["mask"]),
        node("GlobalAveragePool", ["cells"], ["pooled"]),
        node("Flatten", ["pooled"], ["flat"]),
        node("MatMul", ["flat", "weights"], ["logit"]),
        node("Sigmoid", ["logit"], ["score"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "net",
        [value("image", TensorProto.UINT8, [1, 16, 16, 3])],
        [value("mask", TensorProto.FLOAT, [1, 2, 8, 8]), value("score", TensorProto.FLOAT, [1, 1])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    return made


def compiled(model: Any, folder: Path) -> None:
    """The three files that every Neo job gives."""
    given = {tensor.name: sides(tensor) for tensor in model.graph.input}
    module, parameters = relay.frontend.from_onnx(model, given, freeze_params=True)
    # Level 2 keeps the graph's own order of sums; 3 also packs layouts, which makes a small net ten times as big.
    with tvm.transform.PassContext(opt_level=2):
        library = relay.build(module, target=TARGET, params=parameters)
    folder.mkdir(parents=True)
    library.get_lib().export_library(str(folder / "compiled.so"), options=["-s"])
    (folder / "compiled_model.json").write_text(library.get_graph_json())
    (folder / "compiled.params").write_bytes(tvm.runtime.save_param_dict(library.get_params()))


def sides(tensor: Any) -> tuple[int, ...]:
    return tuple(side.dim_value for side in tensor.type.tensor_type.shape.dim)


def described(model: Any, folder: Path) -> None:
    """compiled.meta as the service writes it."""
    names = {TensorProto.UINT8: "uint8", TensorProto.FLOAT: "float32", TensorProto.BOOL: "bool"}

    def listed(tensors: Any) -> list[dict[str, Any]]:
        return [
            {"name": tensor.name, "dtype": names[tensor.type.tensor_type.elem_type], "shape": list(sides(tensor))}
            for tensor in tensors
        ]

    meta = {
        "Requirements": {"TargetDevice": "ml_c5", "TargetDeviceType": "cpu"},
        "Model": {"Inputs": listed(model.graph.input), "Outputs": listed(model.graph.output)},
    }
    (folder / "compiled.meta").write_text(json.dumps(meta, indent=1) + "\n")


def crash(path: Path) -> None:
    """A library whose constructor ends the process."""
    with tempfile.TemporaryDirectory() as work:
        source = Path(work) / "crash.c"
        source.write_text("__attribute__((constructor)) static void crash(void) { __builtin_trap(); }\n")
        subprocess.run(["gcc", "-shared", "-fPIC", "-s", source, "-o", path], check=True)


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    model = net()
    compiled(model, FOLDER / "net")
    described(model, FOLDER / "net")
    crash(FOLDER / "crash.so")
    onnx.save(model, str(FOLDER / "net.onnx"))
    pictures = np.random.default_rng(8).integers(0, 256, (4, 1, 16, 16, 3), np.uint8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    answers = [session.run(["mask", "score"], {"image": picture}) for picture in pictures]
    masks, scores = (np.stack([answer[place] for answer in answers]) for place in (0, 1))
    np.savez_compressed(FOLDER / "net.npz", image=pictures, mask=masks, score=scores)
    for name in ("score", "mask", "fused", "truth"):
        tiny = onnx.load(str(MODELS / f"{name}.onnx"))
        compiled(tiny, FOLDER / name)
        described(tiny, FOLDER / name)


if __name__ == "__main__":
    main()
