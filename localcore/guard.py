"""The guard: a tiny process that outlives a killed core just long enough to end the components' process groups.

It reads `+PGID` and `-PGID` lines from its standard input. The end of input means that the core is gone: what is still
registered gets SIGTERM, then SIGKILL. It is run by its file name with an isolated interpreter, so it imports only the standard library.
"""

import os
import signal
import sys
import time

GRACE_S = 5.0  # for components to save their state; a killed core cannot ask for more
_POLL_S = 0.05


def _signal_group(group: int, number: int) -> bool:
    """Send a signal; False when the group is gone."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def end_groups(groups: set[int]) -> None:
    """SIGTERM, then SIGKILL after the grace."""
    left = {group for group in groups if _signal_group(group, signal.SIGTERM)}
    deadline = time.monotonic() + GRACE_S
    while left and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        left = {group for group in left if _signal_group(group, 0)}
    for group in left:
        _signal_group(group, signal.SIGKILL)


def main() -> None:
    """Register groups until the input ends, then end them."""
    groups: set[int] = set()
    for line in sys.stdin:
        sign, group = line[:1], int(line[1:])
        if sign == "+":
            groups.add(group)
        else:
            groups.discard(group)
    end_groups(groups)


if __name__ == "__main__":
    main()
