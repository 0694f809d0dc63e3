"""What becomes of an offer: it is proved, activated, answered as active already, left waiting for the window, or refused."""

import logging
from datetime import datetime

from linewatch_common.errors import InputError, StorageError
from linewatch_common.logs import capped
from linewatch_common.messages.models import ModelActivated, ModelOffered, ModelProved, ModelRefused, ModelWaiting

from linewatch_agent.admission import Admission
from linewatch_agent.counters import Counters
from linewatch_agent.errors import unforeseen
from linewatch_agent.reloading import Reloads
from linewatch_agent.replaced import ReplacedModels
from linewatch_agent.serving import ActiveModel
from linewatch_agent.table import RoleTable
from linewatch_agent.waiting import WaitingModels

log = logging.getLogger(__name__)

MAX_REASON = 300


class Offers:
    """Used by one thread. What runs is touched only after its successor is copied, verified, loaded, proved and written down."""

    def __init__(
        self,
        table: RoleTable,
        admission: Admission,
        waiting: WaitingModels,
        replaced: ReplacedModels,
        reloads: Reloads,
        *,
        counters: Counters,
    ) -> None:
        self._table = table
        self._admission = admission
        self._waiting = waiting
        self._replaced = replaced
        self._reloads = reloads
        self._counters = counters

    def answer(self, offer: ModelOffered) -> ModelProved | ModelActivated | ModelWaiting | ModelRefused:
        """Never raises; what was not accepted is refused with one line."""
        try:
            return self._prove(offer) if offer.trial else self._accept(offer)
        except (InputError, StorageError) as error:
            return self._refuse(offer, str(error))
        except Exception as error:  # what no adapter foresaw: without an answer the deployment would not know why
            log.exception("model %s: an internal error", offer.identifier)
            return self._refuse(offer, unforeseen(error))

    def _prove(self, offer: ModelOffered) -> ModelProved:
        with self._admission.copy_of(offer) as package:
            _, proof = self._admission.proved(package)
        log.info("model %s proved: %.1f ms, %d golden pictures", offer.identifier, proof.latency_ms, proof.samples)
        return ModelProved(
            identifier=offer.identifier,
            manifest_digest=offer.manifest_digest,
            nonce=offer.nonce,
            latency_ms=round(proof.latency_ms, 3),
            golden_samples=proof.samples,
        )

    def _accept(self, offer: ModelOffered) -> ModelActivated | ModelWaiting:
        before = self._table.get(offer.role)
        if before is None:
            return self._activate(offer, None, None)
        if _is_same(before, offer):
            return self._confirm(before, offer)
        if before.previous == offer.manifest_digest:
            return self._activate(offer, before, None)  # the way back was taken, and never waits
        until = self._waiting.closed_until()
        if until is not None:
            return self._wait(offer, until)
        return self._activate(offer, before, before.package.digest)

    def _confirm(self, active: ActiveModel, offer: ModelOffered) -> ModelActivated:
        """It serves already."""
        if self._reloads.is_down(active):
            with self._admission.copy_of(offer) as package:
                self._reloads.load(active, package)  # what is answered as active answers
        active.offered, active.withdrawn_at = True, None
        self._end_other_roles(active)
        # A rollback. Where another component stands behind what waited, it offers again.
        self._waiting.drop(offer.role, f"{offer.identifier} was offered again")
        return _activated(offer, None)

    def _wait(self, offer: ModelOffered, until: datetime) -> ModelWaiting:
        """Proved once, so that a bad package is refused now and not in the window."""
        if not self._waiting.names(offer):
            self._prove(offer)
        return self._waiting.put(offer, until)

    def _activate(self, offer: ModelOffered, before: ActiveModel | None, previous: str | None) -> ModelActivated:
        with self._admission.copy_of(offer) as package:
            model, proof = self._admission.proved(package)
            active = ActiveModel(offer.role, package, model, offered=True, previous=previous)
            self._table.activate(active)
        self._replaced.spare(active)
        self._end_other_roles(active)
        self._waiting.drop(offer.role, f"{offer.identifier} is active")
        if before is not None:
            self._replaced.put(before, offer.identifier)
        replaced = None if before is None or before.identifier == offer.identifier else before.identifier
        self._counters.add("models_activated")
        log.info(
            "role %s: %s is active (%.1f ms, %d golden pictures), replaced %s",
            offer.role,
            offer.identifier,
            proof.latency_ms,
            proof.samples,
            replaced or "nothing",
        )
        return _activated(offer, replaced)

    def _end_other_roles(self, active: ActiveModel) -> None:
        """Other versions of this model are replaced by it, whatever their role is."""
        for other in self._table.in_other_roles(active):
            self._replaced.put(other, active.identifier)
            log.info("role %s: %s left it, replaced by %s", other.role, other.identifier, active.identifier)
            self._table.leaves(other)

    def _refuse(self, offer: ModelOffered, reason: str) -> ModelRefused:
        self._counters.add("models_refused")
        log.error("model %s refused: %s", offer.identifier, reason)
        return ModelRefused(identifier=offer.identifier, nonce=offer.nonce, reason=capped(reason, MAX_REASON - 1))


def _is_same(active: ActiveModel, offer: ModelOffered) -> bool:
    return (active.identifier, active.package.digest) == (offer.identifier, offer.manifest_digest)


def _activated(offer: ModelOffered, replaced: str | None) -> ModelActivated:
    return ModelActivated(
        identifier=offer.identifier,
        role=offer.role,
        version=offer.version,
        manifest_digest=offer.manifest_digest,
        nonce=offer.nonce,
        replaced=replaced,
    )
