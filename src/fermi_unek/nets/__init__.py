"""Networks and their weights files, forward only."""
