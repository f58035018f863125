"""Samplers, one small file each: from a score to points."""
