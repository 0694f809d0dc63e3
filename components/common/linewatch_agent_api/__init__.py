"""The edge agent's wire interface (`AWS.SageMaker.Edge`): agent.proto, its stubs, and a client.

`client` and `tensors` need numpy; `errors` and the stubs do not.
"""
