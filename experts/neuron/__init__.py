"""What the Neuron target needs on any machine: cores, static shapes, manifests, memory arithmetic, plans.

Nothing here imports optimum-neuron, torch or the Neuron SDK. The engine that runs on the accelerator is
`experts.engines.neuron`, the compilation `experts.compilation.neuron`. docs/neuron.md lists what was run and what was
not.
"""
