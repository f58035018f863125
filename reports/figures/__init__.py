"""Figures of a study: this package only draws; widths are in inches."""
