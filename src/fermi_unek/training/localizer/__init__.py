"""Training of the network that marks the pixels of sources."""
