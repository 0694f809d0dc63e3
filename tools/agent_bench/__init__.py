"""The agent's bench: what a prediction through the agent costs beside the same prediction in process and through other servers."""
