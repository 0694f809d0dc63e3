"""Topic `models`, between model components and EdgeAgent."""

from typing import Annotated

import msgspec

from linewatch_common.messages.base import Identifier, Message, Reason, UtcTime

Digest = Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}$")]


class ModelOffered(Message, frozen=True, kw_only=True, tag="linewatch.ModelOffered/1"):
    """A package lies in `folder`. With `trial` the agent proves it and drops it; without, it activates it.

    `nonce` is echoed in the answer, which is ModelProved (trial), ModelActivated, ModelWaiting or ModelRefused. `lease` names the
    component whose heartbeat keeps the offer alive.
    """

    name: Identifier
    version: str
    identifier: Identifier
    role: str
    folder: str
    manifest_digest: Digest
    nonce: Identifier
    trial: bool
    lease: str


class ModelProved(Message, frozen=True, kw_only=True, tag="linewatch.ModelProved/1"):
    """The agent ran the offered package's golden set: within tolerance and the latency budget."""

    identifier: Identifier
    manifest_digest: Digest
    nonce: Identifier
    latency_ms: float
    golden_samples: int


class ModelActivated(Message, frozen=True, kw_only=True, tag="linewatch.ModelActivated/1"):
    """The agent serves this model for its role from now on; `replaced` is dropped once nobody names it."""

    identifier: Identifier
    role: str
    version: str
    manifest_digest: Digest
    nonce: Identifier
    replaced: Identifier | None = None


class ModelWaiting(Message, frozen=True, kw_only=True, tag="linewatch.ModelWaiting/1"):
    """The offered package was proved and would replace what runs: it is activated in the device's maintenance window, from `until` on.

    What runs serves on. The component offers again when the agent's heartbeat names its model as due, or no longer as waiting.
    """

    identifier: Identifier
    role: str
    version: str
    manifest_digest: Digest
    nonce: Identifier
    until: UtcTime


class ModelRetired(Message, frozen=True, kw_only=True, tag="linewatch.ModelRetired/1"):
    """A model went: the agent dropped a replaced one, or its component withdrew the offer (`by` says who)."""

    identifier: Identifier
    role: str
    by: str
    reason: Reason


class ModelRefused(Message, frozen=True, kw_only=True, tag="linewatch.ModelRefused/1"):
    """The agent will not serve the offered package; what runs was not touched."""

    identifier: Identifier
    nonce: Identifier
    reason: Reason


ModelMessage = ModelOffered | ModelProved | ModelActivated | ModelWaiting | ModelRetired | ModelRefused
