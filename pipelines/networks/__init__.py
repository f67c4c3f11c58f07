"""Networks with their weights: built anew, or loaded as functions of a picture."""
