"""The page's HTTP and WebSocket end points; they only translate."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from linewatch_common.errors import InputError, LinewatchError, UnavailableError
from linewatch_common.messages.base import Reason
from linewatch_common.ring import parse_frame_id
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect

from linewatch_dashboard.archive import Inspection
from linewatch_dashboard.guard import Guard, Rules
from linewatch_dashboard.labels import Label, Labels
from linewatch_dashboard.live import Live
from linewatch_dashboard.packing import InspectionHeader, pack
from linewatch_dashboard.viewers import Viewer

STATIC = Path(__file__).parent / "static"

# A message that a viewer's network has not taken in this time: the viewer is gone, or may as well come back.
SEND_SECONDS = 10.0
TRY_AGAIN_LATER = 1013  # WebSocket close code
ASLEEP = 4000  # ours: the viewer acknowledges nothing
MAX_BODY_BYTES = 2_000

Endpoint = Callable[[Request], Awaitable[Response]]


class LabelRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /api/inspection/{frame_id}/label."""

    label: Label
    note: Reason = ""


class Page:
    """The end points over one line."""

    def __init__(self, live: Live, labels: Labels) -> None:
        self._live = live
        self._labels = labels

    async def index(self, _request: Request) -> Response:
        """The page itself."""
        return FileResponse(STATIC / "index.html")

    async def healthz(self, _request: Request) -> Response:
        """The event loop turns, and the state can be made."""
        return _json({"state": "ok", "age_ms": self._live.state().age_ms})

    async def state(self, _request: Request) -> Response:
        """The state message that viewers are pushed."""
        return _json(self._live.state())

    async def rejects(self, _request: Request) -> Response:
        """The last parts that did not pass."""
        return _json(self._live.state().rejects)

    async def inspection(self, request: Request) -> Response:
        """The verdict, and where its picture and mask are (null when there are none)."""
        frame_id, found = await self._find(request)
        base = f"/api/inspection/{frame_id}"
        pictures = found.pictures
        return _json(
            {
                "verdict": found.verdict,
                "picture": f"{base}/picture" if pictures.picture else None,
                "mask": f"{base}/mask" if pictures.mask else None,
                "no_picture": pictures.missing,
            }
        )

    async def picture(self, request: Request) -> Response:
        """The JPEG."""
        _, found = await self._find(request)
        return _image(found.pictures.picture, "image/jpeg", found.pictures.missing)

    async def mask(self, request: Request) -> Response:
        """The grey PNG."""
        _, found = await self._find(request)
        return _image(found.pictures.mask, "image/png", "no mask")

    async def message(self, request: Request) -> Response:
        """Verdict, picture and mask in one, as the live feed sends it."""
        _, found = await self._find(request)
        header = InspectionHeader(
            sequence=0,
            age_ms=0.0,
            server_ms=time.monotonic() * 1000,
            live=False,
            verdict=found.verdict,
            picture_bytes=len(found.pictures.picture),
            mask_bytes=len(found.pictures.mask),
            no_picture=found.pictures.missing,
        )
        return Response(pack(header, found.pictures), media_type="application/octet-stream")

    async def label(self, request: Request) -> Response:
        """Confirm or overrule; answers with Inspector's CommandResult."""
        frame_id = _frame_id(request)
        if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
            raise InputError("want content-type application/json")
        try:
            wish = msgspec.json.decode(await _body(request), type=LabelRequest)
        except msgspec.MsgspecError as error:
            raise InputError(f"not a label: {error}") from error
        return _json(await self._labels.send(frame_id, wish.label, wish.note))

    async def live(self, socket: WebSocket) -> None:
        """The live feed. With ?acknowledge=1 a viewer sends a text for each inspection it has shown, and gets the next after it."""
        await socket.accept()
        viewer = Viewer(acknowledges=socket.query_params.get("acknowledge") == "1")
        if not self._live.join(viewer):
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # it left before it was told
                await socket.close(TRY_AGAIN_LATER, "too many viewers")
            return
        sending = asyncio.create_task(_send_to(socket, viewer))
        listening = asyncio.create_task(_listen_to(socket, viewer))
        try:
            await asyncio.wait({sending, listening}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._live.leave(viewer)
            for task in (sending, listening):
                task.cancel()
            await asyncio.gather(sending, listening, return_exceptions=True)

    async def _find(self, request: Request) -> tuple[str, Inspection]:
        frame_id = _frame_id(request)
        return frame_id, await self._live.find(frame_id)


def create_app(page: Page, rules: Rules) -> ASGIApp:
    """The whole site behind its guard."""
    routes = [
        Route("/", page.index),
        Route("/healthz", page.healthz),
        Route("/api/state", page.state),
        Route("/api/rejects", page.rejects),
        Route("/api/inspection/{frame_id}", _answering(page.inspection)),
        Route("/api/inspection/{frame_id}/picture", _answering(page.picture)),
        Route("/api/inspection/{frame_id}/mask", _answering(page.mask)),
        Route("/api/inspection/{frame_id}/message", _answering(page.message)),
        Route("/api/inspection/{frame_id}/label", _answering(page.label), methods=["POST"]),
        WebSocketRoute("/live", page.live),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    return Guard(Starlette(routes=routes), rules)


async def _send_to(socket: WebSocket, viewer: Viewer) -> None:
    """Until the viewer leaves, or takes too long."""
    while True:
        state, loaded = await viewer.take()
        now = time.monotonic()
        if viewer.asleep(now):
            await socket.close(ASLEEP, "no picture was acknowledged")
            return
        async with asyncio.timeout(SEND_SECONDS):
            if state is not None:
                await socket.send_text(state)
            if loaded is not None:
                viewer.sent_inspection(now)
                await socket.send_bytes(loaded.message(now, viewer.skipped))


async def _listen_to(socket: WebSocket, viewer: Viewer) -> None:
    """Until the viewer leaves. Whatever it says means that it has shown the last inspection."""
    while True:
        try:
            await socket.receive_text()
        except (WebSocketDisconnect, KeyError):  # KeyError: a binary message, which nobody of ours sends
            return
        viewer.acknowledge()


def _frame_id(request: Request) -> str:
    frame_id: str = request.path_params["frame_id"]
    parse_frame_id(frame_id)
    return frame_id


async def _body(request: Request) -> bytes:
    raw = bytearray()
    try:
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > MAX_BODY_BYTES:
                raise InputError(f"a label has at most {MAX_BODY_BYTES} bytes")
    except ClientDisconnect as error:
        raise InputError("the sender left in the middle") from error
    return bytes(raw)


def _answering(endpoint: Endpoint) -> Endpoint:
    """Our errors as HTTP answers."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except InputError as error:
            return _json({"error": str(error)}, 404 if request.method == "GET" else 400)
        except UnavailableError as error:
            return _json({"error": str(error)}, 503)
        except LinewatchError as error:
            return _json({"error": str(error)}, 502)

    return answer


def _json(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def _image(data: bytes, media_type: str, missing: str) -> Response:
    return Response(data, media_type=media_type) if data else _json({"error": missing}, 404)
