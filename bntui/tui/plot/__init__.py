"""Curves on a canvas."""
