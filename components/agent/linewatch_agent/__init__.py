"""The edge agent: models in memory, prediction and captured data, served as `AWS.SageMaker.Edge` on a unix socket."""
