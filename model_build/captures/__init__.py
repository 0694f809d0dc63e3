"""Captured data back from the fleet: fetched from S3, read, counted, and made into a data set."""
