"""An operator confirms or overrules a verdict: the command to Inspector and its answer."""

import asyncio
import uuid
from concurrent.futures import Executor
from typing import Literal

from linewatch_common.bus import LocalBus
from linewatch_common.errors import UnavailableError
from linewatch_common.messages import CommandResult, LabelVerdict, encode
from linewatch_common.topics import Topics

Label = Literal["pass", "fail"]

# Inspector answers within milliseconds; a restart of it takes some seconds, and a person waits at the screen.
ANSWER_SECONDS = 5.0
MAX_PENDING = 16
# There is no login yet, so the page cannot name the person.
OPERATOR = "dashboard"


class Labels:
    """Sends LabelVerdict and waits for its CommandResult. All methods run on the event loop."""

    def __init__(self, bus: LocalBus, topics: Topics, worker: Executor) -> None:
        self._bus = bus
        self._topics = topics
        self._worker = worker
        self._pending: dict[str, asyncio.Future[CommandResult]] = {}

    async def send(self, frame_id: str, label: Label, note: str = "") -> CommandResult:
        """Ask Inspector to write the label. Raises UnavailableError (bus away, no answer, too many at once) and MessageError."""
        if len(self._pending) >= MAX_PENDING:
            raise UnavailableError(f"{MAX_PENDING} labels wait for an answer already")
        loop = asyncio.get_running_loop()
        command = LabelVerdict(
            command_id=uuid.uuid4().hex, frame_id=frame_id, label=label, operator=OPERATOR, note=note[:300]
        )
        answer: asyncio.Future[CommandResult] = loop.create_future()
        self._pending[command.command_id] = answer
        try:
            await loop.run_in_executor(self._worker, self._bus.publish, self._topics.commands, encode(command))
            async with asyncio.timeout(ANSWER_SECONDS):
                return await answer
        except TimeoutError as error:
            raise UnavailableError(f"Inspector did not answer within {ANSWER_SECONDS:.0f} s") from error
        finally:
            del self._pending[command.command_id]

    def receive(self, result: CommandResult) -> None:
        """A CommandResult came; those of others' commands are ignored."""
        answer = self._pending.get(result.command_id)
        if answer is not None and not answer.done():
            answer.set_result(result)
