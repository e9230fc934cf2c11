"""The gRPC contracts: `.proto` sources and the code generated from them by `make protos`."""
