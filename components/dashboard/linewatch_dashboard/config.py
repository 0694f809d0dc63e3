"""The page's configuration."""

import ipaddress
from typing import Annotated

import msgspec
from linewatch_common.config import Config
from linewatch_common.errors import ConfigError

HostName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9.-]{1,253}$")]


class DashboardConfig(Config, frozen=True, kw_only=True, rename="pascal"):
    """`host` is the address to listen on; `allowed_hosts` are names, beside the address itself, that browsers may use for us.

    A picture older than `stale_after_seconds` is greyed: set it a little over the longest gap between two parts.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 8080
    allowed_hosts: Annotated[list[HostName], msgspec.Meta(max_length=16)] = []  # noqa: RUF012 - msgspec copies mutable defaults
    stale_after_seconds: Annotated[float, msgspec.Meta(ge=0.5, le=3600.0)] = 10.0
    max_viewers: Annotated[int, msgspec.Meta(ge=1, le=64)] = 8
    pictures_per_second: Annotated[float, msgspec.Meta(ge=0.5, le=30.0)] = 10.0


def check(config: DashboardConfig) -> None:
    """Raises ConfigError when `host` is not an address: a name could come to mean another machine."""
    if config.host != "localhost":
        try:
            ipaddress.ip_address(config.host)
        except ValueError as error:
            raise ConfigError(f"Host: {config.host!r} is not an IP address nor localhost") from error


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`, an IP address or localhost."""
    return host == "localhost" or ipaddress.ip_address(host).is_loopback
