"""What all components share: topics, messages, configuration, errors, the local bus and a component's life."""

__version__ = "0.1.0"
