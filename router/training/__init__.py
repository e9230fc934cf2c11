"""How the artefact is made. Training needs scikit-learn, serving does not."""
