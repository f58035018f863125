"""Packaged studies, one TOML file each; the first comment line of a file is its summary."""
