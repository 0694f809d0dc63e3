"""What runs a model: one narrow port, an adapter for each runtime."""
