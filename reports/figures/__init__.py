"""The figures of a study, each by name."""
