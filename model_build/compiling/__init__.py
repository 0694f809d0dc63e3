"""From a trained net to what a device runs: ONNX, INT8, TensorFlow Lite, Neo; each held against the float model."""
