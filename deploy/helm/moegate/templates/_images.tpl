{{/* An image by its name, from the registry of the values. */}}
{{- define "moegate.image" -}}
{{- $root := index . 0 -}}
{{- with $root.Values.images.registry }}{{ . }}/{{ end }}moegate/{{ index . 1 }}:{{ $root.Values.images.tag }}
{{- end }}

{{/* The gateway's settings: the file as it is, or with the values on top. */}}
{{- define "moegate.settings" -}}
{{- $file := .Files.Get "files/gateway.yaml" -}}
{{- if .Values.gateway.settings -}}
{{- mergeOverwrite (fromYaml $file) .Values.gateway.settings | toYaml }}
{{- else -}}
{{- $file }}
{{- end -}}
{{- end }}
