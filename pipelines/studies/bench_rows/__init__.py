"""What `s4 bench` times: a module for each comparison, and the networks that take part."""
