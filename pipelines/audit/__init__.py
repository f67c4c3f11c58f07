"""What `s4 check` looks for: data sets, label folders, weights and settings files, with all of their faults."""
