"""What the ring says of itself, in one consistent view."""

from linewatch_common.ring import RingReader

from linewatch_inspector.intake import RingState


def ring_state(ring: RingReader) -> RingState:
    """Raises RingUnavailable. When the ring is replaced meanwhile, the numbers may be the old one's; the next call tells."""
    epoch = ring.epoch
    oldest = ring.oldest_safe  # before `written`: the writer only moves it up, so nothing readable is called lost
    written = ring.write_sequence
    if ring.epoch != epoch:
        epoch, oldest, written = ring.epoch, ring.oldest_safe, ring.write_sequence
    return RingState(epoch=epoch, written=written, oldest=oldest)
