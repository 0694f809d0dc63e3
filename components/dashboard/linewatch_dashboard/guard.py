"""Who may talk to the page: checks of Host and Origin, and the headers of every answer.

There is no login yet, so a web page of somebody else that is open in the operator's browser must not reach us:
- Host must be an address or name of ours; else a name that an attacker points at 127.0.0.1 (DNS rebinding) would make us his site.
- Origin, which browsers send with every WebSocket and every POST, must be the very host that was asked.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from linewatch_dashboard.config import is_loopback

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
POLICY_VIOLATION = 1008  # WebSocket close code, RFC 6455


@dataclass(frozen=True, slots=True)
class Rules:
    """Which names we answer to. `bound_to` is the address listened on, `names` are further host names."""

    bound_to: str
    names: frozenset[str]

    @classmethod
    def of(cls, bound_to: str, names: Iterable[str]) -> "Rules":
        return cls(bound_to, frozenset(name.lower() for name in names))

    def admits_host(self, host: str | None) -> bool:
        """Whether the Host header is ours. An IP address cannot be rebound, so any of them is fine once we listen beyond loopback."""
        name = _host_name(host)
        if name is None:
            return False
        if name == "localhost" or name in self.names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not is_loopback(self.bound_to)

    @staticmethod
    def admits_origin(origin: str | None, host: str | None) -> bool:
        """Whether the request comes from our own page. Programs that are no browser send no Origin."""
        if origin is None:
            return True
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        return parts.scheme in ("http", "https") and host is not None and parts.netloc.lower() == host.lower()


def _host_name(host: str | None) -> str | None:
    """The name or address in a Host header, without port and brackets; None when it is not one."""
    if not host:
        return None
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # raises when it is no number
    except ValueError:
        return None
    return parts.hostname if parts.netloc == host and "@" not in host else None


class Guard:
    """ASGI middleware in front of everything."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on and add the headers."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if scope["type"] == "websocket":
            await (WebSocketClose(POLICY_VIOLATION, refusal) if refusal else self._app)(scope, receive, send)
            return
        answer = PlainTextResponse(f"{refusal}\n", status_code=403) if refusal else self._app
        await answer(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        host = hosts[0] if len(hosts) == 1 else None
        if not self._rules.admits_host(host):
            return "this host name is not ours; add it to AllowedHosts"
        careful = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
        if careful and not self._rules.admits_origin(headers.get("origin"), host):
            return "refused: asked by a page of another site"
        return None


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(HEADERS)
        await send(message)

    return send_with_headers
