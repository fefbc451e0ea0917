{{- define "ifso.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "ifso.selector" -}}
app.kubernetes.io/name: ifso
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "ifso.labels" -}}
{{ include "ifso.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "ifso.image" -}}
{{- if contains "@" .Values.image.repository }}{{ .Values.image.repository }}{{ else }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* A path of the home as a key of a ConfigMap, which has no slashes. */}}
{{- define "ifso.key" -}}
{{ . | replace "/" "__" }}
{{- end }}
