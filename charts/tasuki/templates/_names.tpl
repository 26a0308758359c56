{{- define "tasuki.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "tasuki.labels" -}}
app: {{ include "tasuki.fullname" . }}
chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
release: {{ .Release.Name | quote }}
heritage: {{ .Release.Service | quote }}
{{- end -}}

{{- define "tasuki.image" -}}
{{- $tag := default (printf "x86_64-v%s" .Chart.AppVersion) .Values.image.tag -}}
{{- with .Values.image.registry }}{{ . }}/{{ end }}{{ .Values.image.image }}:{{ $tag }}
{{- end -}}

{{- define "tasuki.url" -}}
{{- if .Values.externalUrl -}}
{{ .Values.externalUrl }}
{{- else -}}
http://{{ include "tasuki.fullname" . }}.{{ .Release.Namespace }}.svc:{{ int .Values.service.port }}
{{- end -}}
{{- end -}}
