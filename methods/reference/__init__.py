"""Models that are known rather than learned: the anchors of every table."""
