"""The noise of denoising score matching: bias, variance, and the best level."""
