"""Templates of `scorebench new`, with NAME and Name as placeholders."""
