"""Quantisers. Only `.venv-train` holds what qdq and nncf_recipe import (onnx, nncf), only `.venv-tensorflow` what tflite does."""
