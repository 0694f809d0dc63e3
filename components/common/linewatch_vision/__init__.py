"""Preparing pictures for a model and reading its masks: the one place for training and serving. numpy and OpenCV only."""
