"""From weights, golden set and manifest to a signed package, and the check that a device will do."""
