"""What `s4 doctor` looks at: software, processor, memory, disk and weights of this machine."""
