"""The engines: what makes tokens inside a replica. One module each, behind `experts.engine.Engine`."""
