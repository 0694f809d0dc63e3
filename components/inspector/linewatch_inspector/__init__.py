"""com.linewatch.Inspector: judges every frame, keeps the ledger and the store, raises and clears alerts."""
