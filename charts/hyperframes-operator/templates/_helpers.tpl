{{- define "hyperframes.name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What never changes about the operator's pods, and is true of no others. */}}
{{- define "hyperframes.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{/* Labels of everything. Call with a dict of `root` and `component`. */}}
{{- define "hyperframes.labels" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "hyperframes.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "hyperframes.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "hyperframes.name" .) }}
{{- else -}}
{{ required "serviceAccount.name is needed where serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end -}}
{{- end -}}

{{/* What the specs of all pods of ours have in common. */}}
{{- define "hyperframes.podSpec" -}}
{{- $members := dict }}
{{- range $name := list "priorityClassName" "nodeSelector" "tolerations" "imagePullSecrets" }}
{{- with index $.Values $name }}
{{- $_ := set $members $name . }}
{{- end }}
{{- end }}
{{- with $members }}
{{- toYaml . }}
{{- end }}
{{- end -}}

{{/* The claims that the operator's pods mount, if any. */}}
{{- define "hyperframes.claims" -}}
{{- range .Values.volumes }}
{{- with .persistentVolumeClaim }}{{ .claimName }} {{ end }}
{{- end }}
{{- end -}}

{{/* What every command of the program is told. */}}
{{- define "hyperframes.env" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: HF_LOG
  value: {{ .Values.log.filter | quote }}
- name: HF_WATCH_NAMESPACES
  value: {{ join "," .Values.watchNamespaces | quote }}
{{- end -}}
