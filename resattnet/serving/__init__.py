"""Answer requests over HTTP with the predictions of a network."""
