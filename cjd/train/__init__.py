"""One training loop for every model that is trained."""
