"""The guard: rules that look at what goes in and what comes out, and block, mask or report what they find."""
