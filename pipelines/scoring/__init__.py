"""What `s4 evaluate` measures: predictions, label folders, instances, foreground."""
