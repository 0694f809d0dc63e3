"""A model component's configuration. What the model is stands in its manifest, not here."""

from linewatch_common.config import Config


class ModelConfig(Config, frozen=True, kw_only=True):
    """The station alone."""
