# The faults of a node and their recoveries, for infra/docker. A fault is born with its recovery, and both may run twice.
# shellcheck shell=sh disable=SC2154,SC2016

inject() {
  case $1 in
    db-down) present db; docker stop "$id" >/dev/null ;;
    db-killed) signal_main db KILL ;;
    db-hung) present db; [ "$(seen "$id" '{{.State.Paused}}')" = true ] || docker pause "$id" >/dev/null ;;
    bad-credentials) wrong_password ;;
    port-closed) close_port ;;
    port-dropped) drop_port ;;
    process-killed) signal_main api KILL ;;
    service-down) present api; docker stop "$id" >/dev/null ;;
    drain) drain_service ;;
    config-refused) shift; refuse_config "$@" ;;
    *) say "no fault \"$1\"; known: db-down db-killed db-hung bad-credentials port-closed port-dropped process-killed service-down drain config-refused"; exit 2 ;;
  esac
}

recover() { # [FAULT]: without a name everything; nothing is started on a node that was halted
  case ${1:-every} in
    db-down | db-killed | db-hung) mend_database ;;
    bad-credentials) mend_database; if [ -f "$dir/up" ]; then set_role || fail "$node: the role orders could not be mended"; fi ;;
    port-closed) reconnect ;;
    port-dropped) clear_firewall ;;
    process-killed | service-down | drain) start_again api ;;
    config-refused) docker rm -f "$project-refused" >/dev/null 2>&1 || true ;;
    every) clear_firewall; recover config-refused; recover bad-credentials; recover port-closed; recover service-down ;;
    *) say "no fault \"$1\""; exit 2 ;;
  esac
}

# starting what runs changes nothing
start_again() { if [ -f "$dir/up" ]; then present "$1"; docker start "$id" >/dev/null; fi; }

mend_database() {
  undo_pauses
  start_again db
  [ -f "$dir/up" ] || return 0
  end=$(($(date +%s) + 60 * ${SCALE:-1}))
  until database_answers; do [ "$(date +%s)" -lt "$end" ] || fail "$node: the database does not answer"; pause 0.1; done
}

# `docker kill` counts as a stop by hand, after which no restart policy applies. So the process is signalled as the kernel sees it:
# by its pid here when that pid is provably the container's (as root where the machine is ours), else from a container that shares
# the engine's process table.
signal_main() { # SERVICE SIGNAL: returns when that process is gone
  present "$1"
  pid=$(seen "$id" '{{.State.Pid}}')
  [ "${pid:-0}" -gt 0 ] || fail "$node: $1 does not run"
  if ! { grep -q "$id" "/proc/$pid/cgroup" && { kill "-$2" "$pid" || { [ "${ORDERS_FIREWALL:-}" = 1 ] && as_root kill "-$2" "$pid"; }; }; } 2>/dev/null; then
    docker run --rm --pid host --network none --read-only --cap-drop ALL --user "$(seen "$id" '{{.Config.User}}')" \
      "$(seen "$(container api)" '{{.Image}}')" -e 'process.kill(Number(process.argv[1]), process.argv[2])' "$pid" "SIG$2" || fail "$node: $1 could not be signalled"
  fi
  end=$(($(date +%s) + 30 * ${SCALE:-1}))
  while [ "$(seen "$id" '{{.State.Pid}}')" = "$pid" ]; do [ "$(date +%s)" -lt "$end" ] || fail "$node: $1 still runs after SIG$2"; pause 0.1; done
}

drain_service() {
  since=$(($(date +%s) - 1))
  signal_main api TERM
  echo "exit $(docker events --since "$since" --until $(($(date +%s) + 1)) --filter "container=$id" --filter event=die --format '{{.Actor.Attributes.exitCode}}' | tail -n 1)"
}

# The new password reaches the server through a pipe, and nobody keeps it.
wrong_password() {
  present db
  { echo "alter role orders password '$(head -c 24 /dev/urandom | base64 | tr -d '+/=\n')';"
    echo "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'orders';"
  } | docker exec -i "$id" psql -X -q -v ON_ERROR_STOP=1 -U postgres -d orders >/dev/null || fail "$node: the password could not be changed"
}

# Without the network that publishes, the engine takes the port away; the process lives on. Old engines (20.10, not 26) then publish
# through the internal network instead: there that one goes too, and the service is without its database meanwhile.
close_port() {
  present api
  ! on_network front || docker network disconnect "${project}_front" "$id"
  [ -z "$(seen "$id" '{{range .NetworkSettings.Ports}}{{range .}}{{.HostPort}}{{end}}{{end}}')" ] || docker network disconnect "${project}_private" "$id"
}
reconnect() {
  id=$(container api)
  [ -n "$id" ] || return 0
  on_network private || docker network connect --alias api "${project}_private" "$id"
  on_network front || docker network connect --alias api "${project}_front" "$id"
}
on_network() { case $(seen "$id" '{{range $n, $_ := .NetworkSettings.Networks}}{{$n}} {{end}}') in *"${project}_$1 "*) ;; *) return 1 ;; esac; }

# ---- the packet filter, where it is ours: dropped before the engine's own rules are reached -----------------------------
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
rule() { as_root iptables -w -t raw "$1" PREROUTING -d "$address" -p tcp --dport "$port" -m comment --comment orders-port-dropped -j DROP; }
drop_port() {
  [ "${ORDERS_FIREWALL:-}" = 1 ] || { say 'port-dropped needs a packet filter of our own (ORDERS_FIREWALL=1, as in the VMs)'; exit 3; }
  rule -C 2>/dev/null || rule -I || fail "$node: the rule could not be set"
}
clear_firewall() { [ "${ORDERS_FIREWALL:-}" != 1 ] || while rule -C 2>/dev/null; do rule -D; done; }

# ---- a throw-away second service with one setting spoilt, beside the running one ----------------------------------------
refuse_config() { # VAR missing|malformed
  [ $# = 2 ] || { say 'inject config-refused VAR missing|malformed'; exit 2; }
  present api
  docker inspect --format '{{.Image}} {{.Config.User}}{{println}}{{range .Config.Env}}{{println .}}{{end}}' "$id" > "$dir/refused"
  { read -r image user; grep '=' > "$dir/settings"; } < "$dir/refused"
  grep -q "^$1=" "$dir/settings" || { say "no setting $1; known: $(cut -d= -f1 "$dir/settings" | tr '\n' ' ')"; exit 2; }
  grep -v "^$1=" "$dir/settings" > "$dir/spoilt"
  case $2 in missing) ;; malformed) echo "$1=%bad%" >> "$dir/spoilt" ;; *) say "missing or malformed, not $2"; exit 2 ;; esac
  case $known in *" $project-refused"*) recover config-refused ;; esac
  began=$(millis) limit=$((10 * ${SCALE:-1})) code=0
  (trap 'kill $!; exit' TERM; sleep $limit & wait $!; recover config-refused) </dev/null >/dev/null 2>&1 & watchdog=$!
  docker run --rm --name "$project-refused" --label "com.docker.compose.project=$project" --label com.docker.compose.oneoff=True --network none --read-only \
    --cap-drop ALL --security-opt no-new-privileges --user "$user" --volumes-from "$id:ro" --no-healthcheck \
    --env-file "$dir/spoilt" "$image" </dev/null >/dev/null 2>"$dir/said" || code=$?
  # how long the service thought, and the engine to make a container for it
  ms=$(($(millis) - began))
  kill $watchdog 2>/dev/null || true
  [ $ms -lt $((limit * 1000)) ] || fail "$node: the service accepted $1 $2 and ran for $limit s"
  [ $code != 125 ] || { tail -n 3 "$dir/said" >&2; fail "$node: no second service could be made"; }
  printf '{"exit":%s,"ms":%s,"stderr":"%s"}\n' $code $ms "$(tr -d '\000-\011\013-\037' < "$dir/said" | sed 's/[\\"]/\\&/g' | awk '{ printf "%s\\n", $0 }')"
  rm -f "$dir/refused" "$dir/settings" "$dir/spoilt" "$dir/said"
}
# not every date knows milliseconds
millis() { case $(date +%N) in *N*) echo "$(date +%s)000" ;; *) date +%s%3N ;; esac; }
