"""The entry point that SageMaker's training toolkit starts, with hyperparameters as flags; at the top of the source archive."""

import sys
from pathlib import Path

from model_build.jobs.scripts.requirements import install

if __name__ == "__main__":
    install(Path(__file__).resolve().parent)
    from model_build.jobs.training import main  # only now: it imports what was just installed

    sys.exit(main())
