"""The original agent's interface as a table, typed in from its public documentation and used by no other code than tests.

It stands for a client that has never seen linewatch's own proto.
"""

from google.protobuf import descriptor_pb2 as pb

PACKAGE = "AWS.SageMaker.Edge"

ENUMS = {
    "DataType": ["UINT8", "INT16", "INT32", "INT64", "FLOAT16", "FLOAT32", "FLOAT64"],
    "Encoding": ["CSV", "JSON", "NONE", "BASE64"],
    "CaptureDataStatus": ["FAILURE", "SUCCESS", "IN_PROGRESS", "NOT_FOUND"],
}

# Message: (number, name, kind). "data:" puts a field into the oneof of that name.
MESSAGES: dict[str, list[tuple[int, str, str]]] = {
    "TensorMetadata": [(1, "name", "bytes"), (2, "data_type", "DataType"), (3, "shape", "repeated int32")],
    "SharedMemoryHandle": [(1, "size", "uint64"), (2, "offset", "uint64"), (3, "segment_id", "uint64")],
    "Tensor": [
        (1, "tensor_metadata", "TensorMetadata"),
        (4, "byte_data", "data:bytes"),
        (5, "shared_memory_handle", "data:SharedMemoryHandle"),
    ],
    "Model": [
        (1, "url", "string"),
        (2, "name", "string"),
        (3, "input_tensor_metadatas", "repeated TensorMetadata"),
        (4, "output_tensor_metadatas", "repeated TensorMetadata"),
        (5, "handle", "string"),
    ],
    "PredictRequest": [(1, "name", "string"), (2, "tensors", "repeated Tensor"), (3, "handle", "string")],
    "PredictResponse": [(1, "tensors", "repeated Tensor")],
    "LoadModelRequest": [(1, "url", "string"), (2, "name", "string"), (3, "handle", "string")],
    "LoadModelResponse": [(1, "model", "Model")],
    "UnLoadModelRequest": [(1, "name", "string"), (2, "handle", "string")],
    "UnLoadModelResponse": [],
    "ListModelsRequest": [],
    "ListModelsResponse": [(1, "models", "repeated Model")],
    "DescribeModelRequest": [(1, "name", "string"), (2, "handle", "string")],
    "DescribeModelResponse": [(1, "model", "Model")],
    "AuxiliaryData": [
        (1, "name", "string"),
        (2, "encoding", "Encoding"),
        (3, "byte_data", "data:bytes"),
        (4, "shared_memory_handle", "data:SharedMemoryHandle"),
    ],
    "CaptureDataRequest": [
        (1, "model_name", "string"),
        (2, "capture_id", "string"),
        (3, "inference_timestamp", "Timestamp"),
        (4, "input_tensors", "repeated Tensor"),
        (5, "output_tensors", "repeated Tensor"),
        (6, "inputs", "repeated AuxiliaryData"),
        (7, "outputs", "repeated AuxiliaryData"),
        (8, "model_handle", "string"),
    ],
    "CaptureDataResponse": [],
    "GetCaptureDataStatusRequest": [(1, "capture_id", "string")],
    "GetCaptureDataStatusResponse": [(1, "status", "CaptureDataStatus")],
    "Timestamp": [(1, "seconds", "int64"), (2, "nanos", "int32")],
}

RPCS = ("Predict", "LoadModel", "UnLoadModel", "ListModels", "DescribeModel", "CaptureData", "GetCaptureDataStatus")

# What the first generation of clients lacks: newer fields, and names as text.
_FIRST_GENERATION_LACKS = {"handle", "model_handle"}
_SCALARS = {
    "bytes": pb.FieldDescriptorProto.TYPE_BYTES,
    "string": pb.FieldDescriptorProto.TYPE_STRING,
    "int32": pb.FieldDescriptorProto.TYPE_INT32,
    "int64": pb.FieldDescriptorProto.TYPE_INT64,
    "uint64": pb.FieldDescriptorProto.TYPE_UINT64,
}


def interface(generation: int = 3) -> pb.FileDescriptorProto:
    """The interface as a client of that generation (1 or 3) knows it."""
    file = pb.FileDescriptorProto(name="agent.proto", package=PACKAGE, syntax="proto3")
    for name, values in ENUMS.items():
        enum = file.enum_type.add(name=name)
        for number, value in enumerate(values):
            enum.value.add(name=value, number=number)
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, field, kind in fields:
            if generation == 1 and field in _FIRST_GENERATION_LACKS:
                continue
            old_name = generation == 1 and (name, field) == ("TensorMetadata", "name")
            _add_field(message, number, field, "string" if old_name else kind)
    return file


def _add_field(message: pb.DescriptorProto, number: int, name: str, kind: str) -> None:
    field = message.field.add(name=name, number=number, label=pb.FieldDescriptorProto.LABEL_OPTIONAL)
    oneof, _, kind = kind.rpartition(":")
    if oneof:
        if not message.oneof_decl:
            message.oneof_decl.add(name=oneof)
        field.oneof_index = 0
    if kind.startswith("repeated "):
        field.label, kind = pb.FieldDescriptorProto.LABEL_REPEATED, kind.removeprefix("repeated ")
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type_name = f".{PACKAGE}.{kind}"
