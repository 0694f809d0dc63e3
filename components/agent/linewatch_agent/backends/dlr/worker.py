"""The process that runs one model with DLR. It ends with the agent, and with its link to the agent.

Started by linewatch_agent.backends.dlr.process; imports nothing heavy, so that it starts at once and stays small.
"""

import contextlib
import ctypes
import os
import resource
import signal
import socket
from itertools import accumulate, pairwise
from pathlib import Path

from linewatch_agent.backends.dlr.library import DlrError, Library, Model
from linewatch_agent.backends.dlr.wire import (
    MAX_BODY_BYTES,
    BrokenError,
    Described,
    Load,
    Loaded,
    Ran,
    Refused,
    Run,
    receive,
    send,
)

_PR_SET_PDEATHSIG = 1
# Of a thousand: where memory runs out, this process goes before the agent and everything else on the line.
_OOM_SCORE = "500"


def main(link_fd: int, agent_pid: int) -> None:
    """Serve the agent until it hangs up."""
    _tie_to(agent_pid)
    with socket.socket(fileno=link_fd) as link, contextlib.suppress(BrokenError):
        model = _loaded(link)
        if model is not None:
            _serve(link, model)
    # Without the library's destructors: a broken model must not hang at its very end.
    os._exit(0)


def _tie_to(agent_pid: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != agent_pid:
        os._exit(0)  # it ended before the line above
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, encoding="ascii")


def _loaded(link: socket.socket) -> Model | None:
    request, _ = receive(link, 0)
    if not isinstance(request, Load):
        raise BrokenError("expected Load")
    try:
        # The files' paths are relative, because a colon in the folder's would part them.
        os.chdir(request.folder)
        model = Library(request.runtime).load(request.files)
    except (DlrError, OSError) as error:
        send(link, Refused(str(error)[:1000]))
        return None
    send(link, Loaded(model.inputs, model.outputs))
    return model


def _serve(link: socket.socket, model: Model) -> None:
    size = sum(spec.nbytes for spec in model.inputs)
    outputs = bytearray(min(sum(spec.nbytes for spec in model.outputs), MAX_BODY_BYTES))
    while True:
        request, inputs = receive(link, size)
        if not isinstance(request, Run) or len(inputs) != size:
            raise BrokenError("expected Run with every input")
        try:
            model.run(_parts(inputs, model.inputs), _parts(outputs, model.outputs))
        except DlrError as error:
            send(link, Refused(str(error)[:1000]))
            continue
        send(link, Ran(), [outputs])


def _parts(whole: bytearray, specs: tuple[Described, ...]) -> list[memoryview]:
    view = memoryview(whole)
    return [view[start:end] for start, end in pairwise(accumulate((spec.nbytes for spec in specs), initial=0))]
