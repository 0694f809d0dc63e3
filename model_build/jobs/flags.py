"""A job's arguments as a command's flags."""

from collections.abc import Sequence

from linewatch_common.errors import InputError

UNSET = "none"  # SageMaker's arguments cannot be left out: this value leaves a flag out


def given(flags: Sequence[str]) -> list[str]:
    """The flags without those whose value is "none". Raises InputError unless they come in pairs."""
    if len(flags) % 2 or any(not name.startswith("--") for name in flags[::2]):
        raise InputError(f"flags come as --name value: {' '.join(flags)}")
    return [
        part for name, value in zip(flags[::2], flags[1::2], strict=True) if value != UNSET for part in (name, value)
    ]
