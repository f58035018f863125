"""From the results table to leaderboards, figures and pages; no model is ever run here."""
