"""The machinery of every training: run folders, checkpoints, signals, processes, the loop."""
