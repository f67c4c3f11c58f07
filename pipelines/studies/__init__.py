"""What `s4 ablate`, `s4 bench` and `s4 demo` are made of: trials, tables, rows."""
