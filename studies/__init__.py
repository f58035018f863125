"""Many runs: studies from TOML, their search, their run directories, and what is read from them."""
