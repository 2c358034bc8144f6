# What is true of a node's two containers, for infra/docker: what the engine was told, and what /proc inside says.
# shellcheck shell=sh disable=SC2154,SC2016

# Go templates: values leave the engine as JSON, so nothing is quoted by hand.
told='"image_id":{{json .Image}},"image":{{json .Config.Image}},"user":{{json .Config.User}},"published":[{{$s := ""}}{{range .NetworkSettings.Ports}}{{range .}}{{$s}}"{{.HostIp}}:{{.HostPort}}"{{$s = ","}}{{end}}{{end}}],"networks":[{{$s = ""}}{{range $n, $_ := .NetworkSettings.Networks}}{{$s}}{{json $n}}{{$s = ","}}{{end}}],"read_only":{{json .HostConfig.ReadonlyRootfs}},"privileged":{{json .HostConfig.Privileged}},"cap_add":{{if .HostConfig.CapAdd}}{{json .HostConfig.CapAdd}}{{else}}[]{{end}},"cap_drop":{{if .HostConfig.CapDrop}}{{json .HostConfig.CapDrop}}{{else}}[]{{end}},"pids_limit":{{json .HostConfig.PidsLimit}},"memory":{{json .HostConfig.Memory}},"restart_policy":{{json .HostConfig.RestartPolicy.Name}},"restart_count":{{json .RestartCount}},"started_at":{{json .State.StartedAt}},"state":{{json .State.Status}},"health":{{if .State.Health}}{{json .State.Health.Status}}{{else}}null{{end}}'

# Asked in two calls for both containers: what the engine was told of them, and what their images say of themselves.
# shellcheck disable=SC2046
facts() {
  for service in api db; do [ -n "$(container $service)" ] || fail "$node has no container $service: infra/docker up"; done
  tab=$(printf '\t')
  boxes=$(docker inspect --format "{{index .Config.Labels \"com.docker.compose.service\"}}$tab{{.Id}}$tab{{.State.Pid}}$tab{{.Image}}$tab{{.Config.Image}}$tab$told" \
    $(container api) $(container db))
  labels=$(docker image inspect --format '{{.Id}}|{{index .Config.Labels "org.opencontainers.image.base.name"}}|{{index .Config.Labels "orders.stand-in"}}' \
    $(printf '%s\n' "$boxes" | cut -f 4 | sort -u))
  printf '{"platform":"%s","node":"%s","containers":true,"api":%s,"db":%s}\n' "${ORDERS_PLATFORM:-docker}" "$node" "$(facts_of api)" "$(facts_of db)"
}

facts_of() { # SERVICE
  while IFS=$tab read -r service id pid runs_on base box; do [ "$service" != "$1" ] || break; done <<BOXES
$boxes
BOXES
  while IFS='|' read -r labelled named stand_in; do [ "$labelled" != "$runs_on" ] || break; done <<LABELS
$labels
LABELS
  # the image of the service names its base in a label, from the same build argument as its FROM line
  case $service in api) base=$named inside_port='' ;; db) inside_port=',"port":5432' ;; esac
  printf '{"base":{"name":"%s","digest":"%s","stand_in":%s,"made_of":"%s"},%s,%s%s}' "$base" "$(digest_of "$base")" \
    "$([ -n "$stand_in" ] && echo true || echo false)" "$stand_in" "$box" "$(inside "$service" | read_proc)" "$inside_port"
}

# What the kernel says of the container's first process: from here when the pid is provably the container's, else (an engine in a
# machine of its own) from inside. The service's image has no shell, so its own Node reads. Nothing when the container does not run.
inside() { # SERVICE
  # without IPv6 the last file is not there: whatever was read once is not read again
  if grep -q "$id" "/proc/$pid/cgroup"; then cat "/proc/$pid/status" "/proc/$pid/net/tcp" "/proc/$pid/net/tcp6" || true; return; fi
  case $1 in
    api) docker exec "$id" /nodejs/bin/node -e '["1/status", "1/net/tcp", "1/net/tcp6"].forEach(f => { try { console.log(require("fs").readFileSync("/proc/" + f, "utf8")) } catch {} })' ;;
    db) docker exec "$id" cat /proc/1/status /proc/net/tcp /proc/net/tcp6 ;;
  esac || true
} 2>/dev/null

# Addresses are hexadecimal, four bytes each in the order of the machine; 0A is LISTEN. 127.0.0.11 is the engine's own name server.
read_proc() {
  awk '
    function hex(text,   i, n) { n = 0; for (i = 1; i <= length(text); i++) n = n * 16 + index("0123456789ABCDEF", substr(text, i, 1)) - 1; return n }
    function ip4(text) { return hex(substr(text, 7, 2)) "." hex(substr(text, 5, 2)) "." hex(substr(text, 3, 2)) "." hex(substr(text, 1, 2)) }
    $1 == "Uid:" { uid = $3 }
    $1 == "CapEff:" { caps = $2 }
    $1 == "CapBnd:" { bound = $2 }
    $1 == "NoNewPrivs:" { privs = $2 }
    $1 == "Seccomp:" { seccomp = $2 }
    $4 == "0A" {
      split($2, part, ":")
      if (length(part[1]) == 8) where = ip4(part[1])
      else if (part[1] ~ /^0+$/) where = "[::]"
      else if (part[1] ~ /^0+FFFF0000/) where = ip4(substr(part[1], 25))
      else where = "[" part[1] "]"
      if (where != "127.0.0.11") { list = list separator "\"" where ":" hex(part[2]) "\""; separator = "," }
    }
    END { printf "\"uid\":%s,\"cap_eff\":%s,\"cap_bnd\":%s,\"no_new_privileges\":%s,\"seccomp\":%s,\"listening\":[%s]", uid == "" ? "null" : uid,
      caps == "" ? "null" : "\"" caps "\"", bound == "" ? "null" : "\"" bound "\"", privs == "" ? "null" : privs == 1 ? "true" : "false", seccomp == "" ? "null" : seccomp, list }'
}
