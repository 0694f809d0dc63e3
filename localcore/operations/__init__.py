"""The IPC operations: each module translates requests to one part of the core, and its answers back."""
