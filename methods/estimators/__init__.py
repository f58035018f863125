"""Methods that make their model themselves: kernel estimators, and models of any framework."""
