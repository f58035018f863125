"""scorebench: tune, compare and reproduce score-matching methods on toys with exact truth."""
