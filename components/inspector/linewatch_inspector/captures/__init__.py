"""Captured data: which inspections go back to the people who train, and how they get to the agent."""
