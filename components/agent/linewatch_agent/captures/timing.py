"""How long captures wait for whom."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds."""

    # What a power cut may cost: no capture is taken while an older one is unsynced for longer.
    unsynced: float = 1.0
    # Often enough to keep that promise with time for the sync itself.
    sync: float = 0.4
    # A sync of a slow card takes seconds; a client waits no longer for it.
    room: float = 5.0
    # Waiting begins when other captures alone do not explain it any more: writing one takes milliseconds.
    short: float = 0.5
    # Sending what waits to a slow card takes seconds; a process that stops waits no longer, the spool keeps the rest.
    flush: float = 8.0
    # A spool whose folder is missing or locked comes back within seconds, when it does.
    open_again: float = 1.0
    # Only a notification ends the wait for a segment; this is for one that was missed, and for what is too old where nothing comes.
    idle: float = 60.0
    # Between tries to send: a hiccup is over in a second; after hours without a network, five minutes more do not matter.
    first_pause: float = 1.0
    longest_pause: float = 300.0


USUAL = Timing()
