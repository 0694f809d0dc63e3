"""Nets in Keras and how they learn. Imported only where TensorFlow is installed."""

import os

# Read when TensorFlow is imported: without it, it greets every process with lines about the processor.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
