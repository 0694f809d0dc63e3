"""SageMaker pipelines: from a folder of pictures to a registered model that waits for approval.

`registered` is what the registry knows of a model; it imports neither sagemaker nor boto3. `definition` and what it imports
need the environment of the group `sagemaker`.
"""
