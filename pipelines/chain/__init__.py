"""The parts of `s4 run`: what its steps are, what they depend on, what is wrong with their inputs, what they left."""
