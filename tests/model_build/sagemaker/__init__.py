"""Needs the environments of the groups `sagemaker` and `sagemaker-training`."""
