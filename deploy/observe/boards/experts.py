"""The experts and their engines: ours beside Ray Serve's and the Neuron monitor's own metrics."""

from typing import Final

from deploy.observe.panels import Dashboard, E, Panel, Query, R, rate

EXPERTS: Final = Dashboard(
    "moegate-experts",
    "moegate · Experts & engines",
    "Our view of the experts beside Ray Serve's and the Neuron monitor's own",
    (
        Panel("Sequences in the batch", "As the expert last said", "short",
              (Query(f"max by (expert) (moegate_expert_sequences_running{{{E}}})", "{{expert}}"),)),
        Panel("Sequences waiting", "As the expert last said", "short",
              (Query(f"max by (expert) (moegate_expert_sequences_waiting{{{E}}})", "{{expert}}"),)),
        Panel("Ready", "1 = the expert answers its probes", "short",
              (Query(f"min by (expert) (moegate_expert_ready{{{E}}})", "{{expert}}"),)),
        Panel("Tokens wasted", "Completion tokens a second of requests that were cancelled or failed", "short",
              (Query(rate("moegate_wasted_tokens_total", "expert", E), "{{expert}}"),)),
        Panel("Ray: replicas healthy", "Ray Serve's own health checks", "short",
              (Query("sum by (application) (ray_serve_deployment_replica_healthy)", "{{application}}"),), source="ray"),
        Panel("Ray: requests in replicas", "Ongoing requests that Ray Serve counts", "short",
              (Query("sum by (application) (ray_serve_replica_processing_queries)", "{{application}}"),), source="ray"),
        Panel("Ray: requests", "Requests a second that Ray Serve's deployments took", "reqps",
              (Query(rate("ray_serve_deployment_request_counter_total", "application"), "{{application}}"),),
              source="ray"),
        Panel("Ray: processing", "95th percentile; Ray Serve counts in milliseconds", "ms",
              (Query("histogram_quantile(0.95, sum by (le, application) "
                     f"(rate(ray_serve_deployment_processing_latency_ms_bucket{R})))", "{{application}}"),),
              source="ray"),
        Panel("Neuron: cores in use", "neuron-monitor: utilisation of each NeuronCore", "percentunit",
              (Query("avg by (neuroncore) (neuroncore_utilization_ratio)", "core {{neuroncore}}"),), source="neuron"),
        Panel("Neuron: device memory", "neuron-monitor: bytes in use by the runtime", "bytes",
              (Query('sum(neuron_runtime_memory_used_bytes{memory_location="neuron_device"})', "device"),),
              source="neuron"),
        Panel("Neuron: errors", "neuron-monitor: failed executions a second, by kind", "cps",
              (Query(f"sum by (error_type) (rate(execution_errors_total{R}))", "{{error_type}}"),), source="neuron"),
        Panel("Neuron: execution latency", "neuron-monitor: 99th percentile of an execution on the device", "s",
              (Query('max(execution_latency_seconds{percentile="p99"})', "p99"),), source="neuron"),
    ),
)  # fmt: skip
