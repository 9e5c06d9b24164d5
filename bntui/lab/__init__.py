"""Experiments and explanations."""
