"""For which processor a compiled library was made."""

import platform
from pathlib import Path

from linewatch_agent.errors import NotLoadableError

# The ELF header: magic, class, byte order, …; the machine is a 16-bit number at offset 18.
_MAGIC = b"\x7fELF"
_BYTE_ORDER_AT, _MACHINE_AT, _HEADER_BYTES = 5, 18, 20
_BIG_ENDIAN = 2
_MACHINES = {3: "i386", 8: "mips", 20: "ppc", 21: "ppc64", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv"}
# What the kernel may call the same.
_ALIASES = {"amd64": "x86_64", "arm64": "aarch64", "armv7l": "arm", "armv6l": "arm", "i686": "i386", "riscv64": "riscv"}


def refuse_foreign(library: Path, here: str | None = None) -> None:
    """Raises NotLoadableError when the ELF `library` is none, or is for another processor than this machine's (`here`). OSError."""
    wanted = here or platform.machine()
    wanted = _ALIASES.get(wanted, wanted)
    found = machine_of(library)
    if found is None:
        raise NotLoadableError(
            f"{library}: is not a Linux library (no ELF header); this machine wants one for {wanted}"
        )
    if found != wanted:
        raise NotLoadableError(
            f"{library}: is compiled for {found}, this machine is {wanted}; compile the model for {wanted}"
        )


def machine_of(library: Path) -> str | None:
    """The processor in an ELF header, e.g. "aarch64"; None when the file has no such header. Raises OSError."""
    with library.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC):
        return None
    number = int.from_bytes(header[_MACHINE_AT:], "big" if header[_BYTE_ORDER_AT] == _BIG_ENDIAN else "little")
    return _MACHINES.get(number, f"machine {number}")
