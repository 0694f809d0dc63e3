"""What more than one command takes on its command line: `type=` of argparse."""

import argparse


def whole(text: str) -> int:
    """A whole number from 0 on: a count, or a seed, of which numpy takes no negative one."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return value


def fraction(text: str) -> float:
    """From 0 to 1, never NaN."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value
