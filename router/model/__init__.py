"""The network over the features, its gate, and the artefact that holds both."""
