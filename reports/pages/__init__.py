"""What people read: report.html, report.md and the certificate of a replay."""
