"""The ledger: one row for every frame, what became of it. Inspector writes it; others read it through `LedgerReader`."""

from linewatch_common.ledger.reader import Label, LedgerGap, LedgerReader, Part
from linewatch_common.ledger.schema import BUSY_SECONDS, LEDGER_FILE, SCHEMA_VERSION, create_schema, schema_version

__all__ = [
    "BUSY_SECONDS",
    "LEDGER_FILE",
    "SCHEMA_VERSION",
    "Label",
    "LedgerGap",
    "LedgerReader",
    "Part",
    "create_schema",
    "schema_version",
]
