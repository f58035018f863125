"""Who is better, by how much and how sure: tables and statistics of a study's rows, and words."""
