"""Pages: report.html, report.md and certificates of replays."""
