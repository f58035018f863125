"""Figures of a study: this package only draws."""
