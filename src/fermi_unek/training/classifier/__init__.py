"""Training of the network that tells classes and fakes."""
