"""What a container starts: `processing.py` alone beside the source archive, `train.py` at the archive's top."""
