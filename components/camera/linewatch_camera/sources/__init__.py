"""Where pictures come from: one port, one module a driver."""
