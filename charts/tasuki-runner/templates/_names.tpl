{{- define "tasuki-runner.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "tasuki-runner.labels" -}}
app: {{ include "tasuki-runner.fullname" . }}
chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
release: {{ .Release.Name | quote }}
heritage: {{ .Release.Service | quote }}
{{- end -}}

{{- define "tasuki-runner.image" -}}
{{- $tag := default (printf "x86_64-v%s" .Chart.AppVersion) .Values.image.tag -}}
{{- with .Values.image.registry }}{{ . }}/{{ end }}{{ .Values.image.image }}:{{ $tag }}
{{- end -}}

{{- define "tasuki-runner.makesAccount" -}}
{{- $create := .Values.serviceAccount.create -}}
{{- if kindIs "bool" $create }}{{ if $create }}true{{ end }}{{ else if and .Values.rbac.create (not .Values.serviceAccount.name) }}true{{ end -}}
{{- end -}}

{{- define "tasuki-runner.account" -}}
{{- if .Values.serviceAccount.name -}}
{{ .Values.serviceAccount.name }}
{{- else if include "tasuki-runner.makesAccount" . -}}
{{ include "tasuki-runner.fullname" . }}
{{- else -}}
default
{{- end -}}
{{- end -}}

{{- define "tasuki-runner.secret" -}}
{{ default (include "tasuki-runner.fullname" .) .Values.runners.secret }}
{{- end -}}

{{/* Rules in a namespace of pods: what `tasuki runner kubernetes-rbac` prints. */}}
{{- define "tasuki-runner.rules" -}}
{{- $on := .Values.rbac.features -}}
- apiGroups: [""]
  resources: [pods]
  verbs: [create, delete, get, watch{{ if $on.audit }}, list{{ end }}]
- apiGroups: [""]
  resources: [pods/exec]
  verbs: [create, get]
{{- if $on.pullSecrets }}
- apiGroups: [""]
  resources: [secrets]
  verbs: [create, delete, get, update{{ if $on.audit }}, list{{ end }}]
{{- end }}
- apiGroups: [""]
  resources: [services]
  verbs: [create, get{{ if $on.audit }}, list{{ end }}]
{{- if $on.resourceAvailabilityCheck }}
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [get]
{{- end }}
{{- if and (not $on.pullSecrets) (or $on.resourceAvailabilityCheck $on.audit) }}
- apiGroups: [""]
  resources: [secrets]
  verbs: [{{ if $on.resourceAvailabilityCheck }}get{{ if $on.audit }}, {{ end }}{{ end }}{{ if $on.audit }}list{{ end }}]
{{- end }}
{{- if or $on.warningEvents $on.podEvents }}
- apiGroups: [""]
  resources: [events]
  verbs: [{{ if $on.warningEvents }}list{{ if $on.podEvents }}, {{ end }}{{ end }}{{ if $on.podEvents }}watch{{ end }}]
{{- end }}
{{- if $on.podLogs }}
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
{{- end }}
{{- if or $on.podDisruptionBudget $on.audit }}
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [{{ if $on.podDisruptionBudget }}create, get{{ if $on.audit }}, {{ end }}{{ end }}{{ if $on.audit }}list{{ end }}]
{{- end }}
{{- if $on.pausePods }}
- apiGroups: [apps]
  resources: [deployments]
  verbs: [create, delete, get, list, update]
{{- end }}
{{- if $on.audit }}
- apiGroups: [""]
  resources: [configmaps]
  verbs: [list]
{{- end }}
{{- end -}}

{{/* Rules on what is in no namespace. */}}
{{- define "tasuki-runner.clusterRules" -}}
{{- $on := .Values.rbac.features -}}
{{- if $on.namespacePerJob }}
- apiGroups: [""]
  resources: [namespaces]
  verbs: [create, delete, get{{ if $on.audit }}, list{{ end }}]
{{- else if and $on.audit .Values.rbac.clusterWideAccess }}
- apiGroups: [""]
  resources: [namespaces]
  verbs: [list]
{{- end }}
{{- if $on.pausePods }}
- apiGroups: [scheduling.k8s.io]
  resources: [priorityclasses]
  verbs: [create, get]
{{- end }}
{{- end -}}
