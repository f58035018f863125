"""What others need to use, cite and check the results of a study."""
