"""What programs that use moegate import; `moegate.client` runs tool calls and plans. It needs nothing but Python."""
