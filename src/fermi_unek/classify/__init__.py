"""Stamps around candidates, photometry in them, and the classes that a network gives them."""
