"""How the artefact is made; needs scikit-learn, serving does not."""
