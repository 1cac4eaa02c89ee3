"""A model, its graph and its history as pictures and tables."""
