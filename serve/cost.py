"""What tokens cost, at the catalogue's prices."""

from experts.catalog import Price


def cost_usd(price: Price, prompt_tokens: int, completion_tokens: int) -> float:
    """Price a request in USD, prompt and completion tokens apart."""
    return prompt_tokens * price.usd_per_prompt_token + completion_tokens * price.usd_per_completion_token
