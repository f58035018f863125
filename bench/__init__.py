"""One run: train, sample and score, with the metrics, the seeds and the record of where it ran."""
