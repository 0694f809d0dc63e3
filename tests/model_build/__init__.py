"""Tests that need torch, TensorFlow or sagemaker: `make test-model-build` runs each folder with its own environment."""
