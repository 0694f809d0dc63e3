"""A release to a fleet of devices: ring by ring, each behind a gate on real health, and back again.

`core.FleetCore` holds the steps (plan, start_ring, poll_ring, judge_ring, roll_back): each takes names, reads and writes the state store,
and returns a small JSON-able value. The command line loops over them, and so can a state machine. docs/fleet.md is the user's page.
"""
