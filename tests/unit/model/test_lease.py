"""When a package is offered."""

from pathlib import Path

import pytest
from linewatch_common.messages.models import ModelActivated, ModelOffered, ModelRefused, ModelWaiting
from linewatch_common.messages.status import AgentStatus, RoleStatus, WaitingModel
from linewatch_model.lease import REPEAT_SECONDS, Lease, LeaseState
from linewatch_model.package import OwnPackage, verified_package

from tests.unit.agent.support import make_package

UNTIL = "2026-11-28T22:00:00Z"


class Bench:
    def __init__(self, package: OwnPackage) -> None:
        self.now = 100.0
        self.package = package
        self.lease = Lease(package, "com.linewatch.model.Tiny", clock=lambda: self.now)

    def offered(self) -> ModelOffered:
        offer = self.lease.due()
        assert offer is not None
        return offer

    def activated(self, nonce: str) -> ModelActivated:
        return ModelActivated(
            identifier="Tiny-1-0-0",
            role="classifier",
            version="1.0.0",
            manifest_digest=self.package.digest,
            nonce=nonce,
        )

    def waits(self, nonce: str) -> ModelWaiting:
        return ModelWaiting(
            identifier="Tiny-1-0-0",
            role="classifier",
            version="1.0.0",
            manifest_digest=self.package.digest,
            nonce=nonce,
            until=UNTIL,
        )

    def hears(
        self, boot_id: str, identifier: str | None = "Tiny-1-0-0", waiting: str = "", *, due: bool = False
    ) -> None:
        """An agent's heartbeat, two seconds later."""
        self.now += 2
        role = RoleStatus(identifier=identifier or "", version="", folder="", manifest_digest=self.package.digest)
        roles = {} if identifier is None else {"classifier": role}
        waits = WaitingModel(identifier=waiting, version="", manifest_digest=self.package.digest, until=UNTIL, due=due)
        heir = {"classifier": waits} if waiting else {}
        self.lease.agent_heard(AgentStatus(endpoint="", boot_id=boot_id, roles=roles, waiting=heir), self.now)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(verified_package(make_package(tmp_path / "p")))


@pytest.fixture
def active(bench: Bench) -> Bench:
    bench.lease.answered(bench.activated(bench.offered().nonce))
    bench.hears("boot-1")
    return bench


def test_an_offer_is_repeated_with_its_nonce_until_it_is_answered(bench: Bench) -> None:
    first = bench.offered()
    assert bench.lease.due() is None
    bench.now += REPEAT_SECONDS
    assert bench.offered() == first
    bench.lease.answered(bench.activated(first.nonce))
    bench.now += REPEAT_SECONDS
    assert (bench.lease.due(), bench.lease.state) == (None, LeaseState.ACTIVE)


def test_an_offer_says_all_that_the_agent_checks(bench: Bench) -> None:
    offer = bench.offered()
    assert (offer.identifier, offer.role, offer.trial) == ("Tiny-1-0-0", "classifier", False)
    assert (offer.folder, offer.manifest_digest) == (str(bench.package.folder), bench.package.digest)
    assert offer.lease == "com.linewatch.model.Tiny"


def test_another_ones_answer_is_not_ours(bench: Bench) -> None:
    bench.offered()
    bench.lease.answered(ModelRefused(identifier="Tiny-1-0-0", nonce="else", reason="no"))
    bench.lease.answered(bench.activated("else"))
    assert bench.lease.state is LeaseState.OFFERING


def test_a_refusal_ends_it(bench: Bench) -> None:
    bench.lease.answered(ModelRefused(identifier="Tiny-1-0-0", nonce=bench.offered().nonce, reason="too slow"))
    bench.now += 60
    assert (bench.lease.state, bench.lease.reason, bench.lease.due()) == (LeaseState.REFUSED, "too slow", None)


def test_an_agent_that_serves_on_gets_no_offer(active: Bench) -> None:
    active.hears("boot-1")
    assert (active.lease.state, active.lease.due()) == (LeaseState.ACTIVE, None)


def test_a_restarted_agent_gets_a_new_offer_even_when_it_restored_the_model(active: Bench) -> None:
    active.hears("boot-2")
    offer = active.offered()
    active.lease.answered(active.activated(offer.nonce))
    active.hears("boot-2")
    assert active.lease.state is LeaseState.ACTIVE


def test_a_role_that_nobody_serves_gets_a_new_offer(active: Bench) -> None:
    active.hears("boot-1", identifier=None)
    assert active.offered().nonce


def test_a_heartbeat_from_before_the_answer_says_nothing(bench: Bench) -> None:
    bench.lease.answered(bench.activated(bench.offered().nonce))
    bench.lease.agent_heard(AgentStatus(endpoint="", boot_id="b", roles={}), bench.now - 1)
    assert bench.lease.state is LeaseState.ACTIVE


def test_a_successor_is_left_alone_until_the_role_is_free(active: Bench) -> None:
    active.hears("boot-1", identifier="Tiny-2-0-0")
    assert (active.lease.state, active.lease.reason) == (LeaseState.REPLACED, "role classifier is served by Tiny-2-0-0")
    active.hears("boot-2", identifier="Tiny-2-0-0")
    assert active.lease.due() is None
    active.hears("boot-2", identifier=None)
    assert active.lease.due() is not None


def test_an_agent_that_rolled_back_to_us_makes_us_active_again(active: Bench) -> None:
    active.hears("boot-1", identifier="Tiny-2-0-0")
    active.hears("boot-1")
    assert (active.lease.state, active.lease.reason) == (LeaseState.ACTIVE, "")


@pytest.fixture
def waiting(bench: Bench) -> Bench:
    """The agent proved it; another version serves until the maintenance window."""
    bench.lease.answered(bench.waits(bench.offered().nonce))
    bench.hears("boot-1", "Tiny-0-9-0", waiting="Tiny-1-0-0")
    return bench


def test_a_package_that_waits_for_the_window_is_not_offered_again(waiting: Bench) -> None:
    waiting.hears("boot-1", "Tiny-0-9-0", waiting="Tiny-1-0-0")
    assert (waiting.lease.state, waiting.lease.due()) == (LeaseState.WAITING, None)
    assert waiting.lease.reason == f"waits for the maintenance window, which opens at {UNTIL}"


def test_it_is_offered_anew_once_the_window_is_open(waiting: Bench) -> None:
    waiting.hears("boot-1", "Tiny-0-9-0", waiting="Tiny-1-0-0", due=True)
    offer = waiting.offered()
    waiting.hears("boot-1", "Tiny-0-9-0", waiting="Tiny-1-0-0", due=True)
    assert waiting.offered() == offer, "the same offer, until it is answered"
    waiting.lease.answered(waiting.activated(offer.nonce))
    waiting.hears("boot-1")
    assert (waiting.lease.state, waiting.lease.due()) == (LeaseState.ACTIVE, None)


def test_an_agent_that_was_restarted_while_a_package_waits_gets_a_new_offer(waiting: Bench) -> None:
    waiting.hears("boot-2", "Tiny-0-9-0")
    assert waiting.offered().nonce


def test_another_package_that_waits_for_the_role_has_taken_the_place(waiting: Bench) -> None:
    waiting.hears("boot-1", "Tiny-0-9-0", waiting="Tiny-2-0-0")
    assert (waiting.lease.state, waiting.lease.due()) == (LeaseState.REPLACED, None)
    assert waiting.lease.reason == "role classifier waits for Tiny-2-0-0"
    waiting.hears("boot-1", "Tiny-0-9-0")
    assert (waiting.lease.state, waiting.lease.due()) == (LeaseState.REPLACED, None)


def test_what_serves_stays_active_while_a_successor_waits(active: Bench) -> None:
    active.hears("boot-1", waiting="Tiny-2-0-0")
    assert (active.lease.state, active.lease.due()) == (LeaseState.ACTIVE, None)
