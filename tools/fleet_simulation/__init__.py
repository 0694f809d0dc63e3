"""A release to 10,000 simulated devices: what it costs the client, and whether it stays within AWS's quotas."""
