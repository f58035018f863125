"""Where runs are carried out, and who keeps the workers busy."""
