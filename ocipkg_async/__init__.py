"""Packages through OCI registries."""
