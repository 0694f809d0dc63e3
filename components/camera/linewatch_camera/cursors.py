"""How far a file source is, in the 64 bits that the ring keeps with each frame: the pass of a loop and the place within it."""

_PLACE_BITS = 32
_MASK = (1 << _PLACE_BITS) - 1


def pack_cursor(passes: int, place: int) -> int:
    """`passes` complete rounds and `place` pictures of the present one."""
    return ((passes & _MASK) << _PLACE_BITS) | min(place, _MASK)


def unpack_cursor(cursor: int) -> tuple[int, int]:
    """The rounds completed and the pictures taken of the present one."""
    return cursor >> _PLACE_BITS, cursor & _MASK
