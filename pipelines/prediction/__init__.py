"""How `predict` works: the network on pictures and on the frames of videos, and films of the results."""
