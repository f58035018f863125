"""Reference methods: models without training, to compare with in every table."""
