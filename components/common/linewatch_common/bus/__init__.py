"""The local bus: a narrow port, and its adapter to Greengrass IPC."""

from linewatch_common.bus.port import LocalBus, MessageHandler

__all__ = ["LocalBus", "MessageHandler"]
