"""From traffic to a better expert: what is learned from, what is better, and which one serves."""
