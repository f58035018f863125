"""The run directory: its table, models and records, and Optuna's working files."""
