"""Each step of a pipeline as a job that SageMaker can run: thin adapters that find a job's folders and call the same commands.

`python -m model_build.jobs STEP --help` explains each. `scripts/` holds the two files that a container starts.
"""
