"""Speed, always as a ratio of two things timed alternately in one process."""
