"""Make the Python stubs of the agent's wire interfaces from their protos, beside these. `make_stubs FOLDER` writes them elsewhere.

The committed stubs are what this makes; tests/contract/test_agent_stubs.py makes them again and compares.
"""

import importlib.resources
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
COMMON = ROOT / "components" / "common"
# Module of the messages and the service in it.
SERVICES = {"agent": "AWS.SageMaker.Edge.Agent", "edge_agent": "AWS.LookoutVision.EdgeAgent"}
MADE = tuple(f"{name}_{kind}" for name in SERVICES for kind in ("pb2.py", "pb2.pyi", "pb2_grpc.py", "pb2_grpc.pyi"))

UNPARAMETRISED = '# mypy: disable-error-code="type-arg"'  # the compiler writes a bare Mapping


def make_stubs(into: Path) -> None:
    """Write the files MADE to linewatch_agent_api/ below `into`. Raises RuntimeError when protoc fails."""
    well_known = str(importlib.resources.files("grpc_tools") / "_proto")
    arguments = [
        f"-I{COMMON}",
        f"-I{well_known}",
        f"--python_out={into}",
        f"--pyi_out={into}",
        f"--grpc_python_out={into}",
    ]
    for name in SERVICES:
        _protoc(*arguments, _proto(name))
        made = into / "linewatch_agent_api"
        (made / f"{name}_pb2_grpc.pyi").write_text("\n".join(_service_types(name)) + "\n", encoding="utf-8")
        types = made / f"{name}_pb2.pyi"
        types.write_text(f"{UNPARAMETRISED}\n{types.read_text(encoding='utf-8')}", encoding="utf-8")


def _proto(name: str) -> str:
    return f"linewatch_agent_api/{name}.proto"


def _protoc(*arguments: str) -> None:
    if protoc.main(["protoc", *arguments]) != 0:
        raise RuntimeError(f"protoc refuses {arguments[-1]}")


def _service_types(name: str) -> Iterator[str]:
    """The types of the module of stub and servicer, which the compiler leaves out."""
    service = _service(name)
    yield "import grpc"
    yield f"from linewatch_agent_api import {name}_pb2"
    yield ""
    yield f"class {service.name}Stub:"
    for method in service.methods:
        yield f"    {method.name}: grpc.UnaryUnaryMultiCallable"
    yield "    def __init__(self, channel: grpc.Channel) -> None: ..."
    yield ""
    yield f"class {service.name}Servicer:"
    for method in service.methods:
        request, response = method.input_type.name, method.output_type.name
        yield f"    def {method.name}("
        yield f"        self, request: {name}_pb2.{request}, context: grpc.ServicerContext"
        yield f"    ) -> {name}_pb2.{response}: ..."
    yield ""
    yield f"def add_{service.name}Servicer_to_server(servicer: {service.name}Servicer, server: grpc.Server) -> None: ..."


def _service(name: str) -> ServiceDescriptor:
    """The service as its proto describes it now, in a pool of its own."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "set"
        _protoc(f"-I{COMMON}", f"--descriptor_set_out={target}", _proto(name))
        described = descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(described.file[0])
    return pool.FindServiceByName(SERVICES[name])


def main(arguments: list[str]) -> int:
    """Write the stubs and say where."""
    into = Path(arguments[0]) if arguments else COMMON
    make_stubs(into)
    print(f"stubs written: {', '.join(str(into / 'linewatch_agent_api' / name) for name in MADE)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
