"""Scores, their derivatives and the gradients of both: closed forms, compiled, and by autograd."""
