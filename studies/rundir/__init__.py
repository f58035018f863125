"""The run directory: table, artifacts, versions, and the storage of Optuna."""
