"""The gRPC door: its service, its messages, its errors."""
