"""The report's template, style sheet and script."""
