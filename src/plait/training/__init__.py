"""One training loop for everything: a step function, a short loop, exact resumption."""
