"""What `scorebench new` writes: text with NAME and Name in it."""
