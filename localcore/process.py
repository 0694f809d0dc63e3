"""One process group of a component: started behind a gate, registered with the guard, ended as a whole."""

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from linewatch_common.errors import UnavailableError

from localcore import guard as guard_module
from localcore.logs import ComponentLog

log = logging.getLogger(__name__)

# The script starts only after the guard knows its group: the gate waits for a line, and a dead core is an end of file.
_GATE = 'read -r _ && exec /bin/sh -c "$1" </dev/null'
_GROUP_POLL_S = 0.02
_KILL_TIMEOUT_S = 5.0  # SIGKILL takes effect at once, except for a process stuck in the kernel
_CHUNK_BYTES = 64 * 1024


class Guard:
    """The guard process, started again should it die."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._groups: set[int] = set()

    def start(self) -> None:
        """Start the guard."""
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", guard_module.__file__],
            stdin=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # Ctrl-C in the core's terminal must not reach it
        )
        for group in self._groups:
            self._write(f"+{group}\n")

    def add(self, group: int) -> None:
        """Watch over a process group."""
        self._groups.add(group)
        self._tell(f"+{group}\n")

    def remove(self, group: int) -> None:
        """The group has ended."""
        self._groups.discard(group)
        self._tell(f"-{group}\n")

    def stop(self) -> None:
        """End the guard; it ends what is still registered."""
        if self._process is None or self._process.stdin is None:
            return
        self._process.stdin.close()
        try:
            self._process.wait(timeout=guard_module.GRACE_S + _KILL_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _tell(self, line: str) -> None:
        try:
            self._write(line)
        except OSError:
            log.warning("the guard process has died; it is started again")
            if self._process is not None:
                self._process.wait(timeout=_KILL_TIMEOUT_S)
            self.start()

    def _write(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(line.encode())


class ComponentProcess:
    """A running script: its process group, its exit code, its output on the way to the log."""

    def __init__(self, process: subprocess.Popen[bytes], guard: Guard, output: list[asyncio.Task[None]]) -> None:
        self._process = process
        self._guard = guard
        self._output = output

    @classmethod
    async def start(
        cls, script: str, *, environment: Mapping[str, str], folder: Path, guard: Guard, output: ComponentLog
    ) -> "ComponentProcess":
        """Run `script` with `sh -c` in its own session. Raises UnavailableError when it cannot start."""
        try:
            process = subprocess.Popen(
                ["/bin/sh", "-c", _GATE, "localcore", script],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd=folder,
                env=dict(environment),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise UnavailableError(f"cannot start the script: {error}") from error
        guard.add(process.pid)
        readers = [
            asyncio.create_task(_copy_lines(pipe, name, output))
            for pipe, name in ((process.stdout, "stdout"), (process.stderr, "stderr"))
            if pipe is not None
        ]
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it was killed already
                process.stdin.write(b"go\n")
            process.stdin.close()
        return cls(process, guard, readers)

    @property
    def pid(self) -> int:
        """The leader's process id, which is also the group's."""
        return self._process.pid

    async def wait(self, stop_timeout_s: float) -> int:
        """The leader's exit code (negative: the signal that ended it), after what it left behind has been ended too."""
        code = await self._leader_exit()
        await self.end_group(stop_timeout_s)
        done, pending = await asyncio.wait(self._output, timeout=_KILL_TIMEOUT_S)
        for task in pending:
            task.cancel()
        for task in done:
            task.result()
        self._guard.remove(self.pid)
        return code

    async def _leader_exit(self) -> int:
        # Not asyncio's own subprocess: its wait() returns only when nobody holds the output any more, and a crashed
        # leader's child may do so for ever.
        loop = asyncio.get_running_loop()
        exited = asyncio.Event()
        pidfd = os.pidfd_open(self.pid)
        loop.add_reader(pidfd, exited.set)
        try:
            await exited.wait()
        finally:
            loop.remove_reader(pidfd)
            os.close(pidfd)
        return self._process.wait()

    def signal(self, number: int) -> bool:
        """Signal the whole group; False when it is gone."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return False
        return True

    async def end_group(self, timeout_s: float) -> None:
        """SIGTERM to the group, SIGKILL at the timeout; returns when it is gone."""
        for number, patience in ((signal.SIGTERM, timeout_s), (signal.SIGKILL, _KILL_TIMEOUT_S)):
            if not self.signal(number):
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    while self.signal(0):
                        await asyncio.sleep(_GROUP_POLL_S)
                    return
        log.error("process group %d does not end", self.pid)


async def _copy_lines(pipe: IO[bytes], name: str, output: ComponentLog) -> None:
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        await _copy(reader, name, output)
    finally:
        transport.close()


async def _copy(reader: asyncio.StreamReader, name: str, output: ComponentLog) -> None:
    rest = b""
    while chunk := await reader.read(_CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            output.write(name, line.decode(errors="replace"))
        if len(rest) > _CHUNK_BYTES:  # a line without an end must not eat the memory
            output.write(name, rest.decode(errors="replace"))
            rest = b""
    if rest:
        output.write(name, rest.decode(errors="replace"))
