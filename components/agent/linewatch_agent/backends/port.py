"""What the agent needs of a runtime. tests/contract/test_backends.py holds every adapter to it."""

from pathlib import Path
from typing import Protocol

from linewatch_agent.tensors import Tensors, TensorSpec


class Net(Protocol):
    """A compiled model. Dropping the last reference frees it, after the predictions that run on it."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What it takes; every dtype is one that the wire carries."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What it gives, in this order."""

    @property
    def outside_bytes(self) -> int:
        """The memory that it holds in RAM outside of this process."""

    @property
    def ended(self) -> str:
        """Why it will never predict again: the process of its own that it runs in is gone. In one line; empty while it lives."""

    def predict(self, inputs: Tensors) -> Tensors:
        """Run once; may be called from several threads. The arrays answered belong to the caller, C-contiguous, in output order.

        `inputs` has exactly the model's inputs, with its dtypes and shapes. Raises BadRequestError when the runtime refuses them,
        RuntimeEndedError when it runs in a process of its own that is gone.
        """


class Backend(Protocol):
    """A runtime."""

    @property
    def name(self) -> str:
        """Its name in log lines."""

    def load(self, path: Path) -> Net:
        """Compile the model file at `path`, and what belongs to it beside it, for this machine; does not keep the file open.

        Raises NotLoadableError with one line that says why (also when the runtime is not installed), NothingThereError; MemoryError.
        """
