"""Table 5 of the S4Net paper: what the labels are made from that a DeepLab learns from."""
