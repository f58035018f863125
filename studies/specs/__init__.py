"""What a study file says: read, completed, checked, compared."""
