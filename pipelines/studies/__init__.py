"""What ablate, bench and demo are made of: trials, tables, rows."""
