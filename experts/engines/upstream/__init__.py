"""The engine whose model is behind another server: any that speaks OpenAI's API, such as vLLM, Ollama or Bedrock."""
