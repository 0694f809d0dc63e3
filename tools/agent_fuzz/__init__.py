"""Mutated requests against a running agent: `python -m tools.agent_fuzz`."""
