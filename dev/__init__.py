"""Tools for working on the provider: what the Makefile's targets run. Not part of the distribution."""
