"""The names of the rows, and what is divided by what."""

FLOAT = "r18 float32"
OPENVINO, OPENVINO_AGENT = f"{FLOAT}, in process", f"{FLOAT}, agent, bytes"
DLR, DLR_AGENT = f"{FLOAT}, DLR in process", f"{FLOAT}, agent with DLR, bytes"
RATIOS = {
    "float32_bytes": (OPENVINO_AGENT, OPENVINO),
    "dlr_bytes": (DLR_AGENT, DLR),
    "dlr_over_openvino": (DLR, OPENVINO),
}
