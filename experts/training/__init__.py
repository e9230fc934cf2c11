"""Fine-tuning an expert: samples to an adapter. Needs the [train] extra; serving never imports it."""
