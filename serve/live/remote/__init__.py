"""The router's artefact and the catalogue from elsewhere (`remote` in the settings): local copies, kept fresh."""
