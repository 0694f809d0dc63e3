"""Local deployments: the queue, what both runtimes share, and what each does its own way."""
