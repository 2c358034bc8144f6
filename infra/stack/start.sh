# Starting the stack of a node, for infra/docker: `up` returns when the service is verifiable, or says who is to blame.
# shellcheck shell=sh disable=SC2154,SC2016

# Looks at /ready through the published port until it answers 200 or the time is over; then tells what it saw last.
probe='const [host, port, ms] = process.argv.slice(-3); const end = Date.now() + Number(ms); let last = "nothing";
const again = text => { last = text; if (Date.now() > end) { console.log(last); process.exit(1); } setTimeout(look, 200); };
const look = () => { let done = false; const once = text => { if (!done) { done = true; again(text); } };
  const ask = require("http").get({ host, port, path: "/ready", agent: false, timeout: 2000 }, answer => { let body = "";
    answer.on("data", part => { body += part; }).on("end", () => { if (answer.statusCode === 200) process.exit(0); once(answer.statusCode + " " + body); }); });
  ask.on("timeout", () => ask.destroy(new Error("no answer in 2 s"))).on("error", error => once(error.message)); }; look();'

up() {
  mkdir -p "$dir"
  make_secrets
  write_settings
  undo_pauses
  mark_first_start
  say "$node: image $(short "$image"), service on $address:$port"
  began=$(date +%s)
  compose up --detach --no-build --remove-orphans >"$dir/compose.log" 2>&1 || {
    tail -n 5 "$dir/compose.log" >&2; clean_failure; fail "$node: Compose could not start the stack"; }
  look
  reconnect
  clear_firewall
  await_ready
  date -u +%Y-%m-%dT%H:%M:%SZ > "$dir/up"
}
short() { printf '%s\n' "$1" | sed 's/\(sha256[:-]............\).*/\1/'; }

compose() {
  set -- --project-directory "$infra" --env-file "$dir/env" -f "$infra/docker-compose.yml" ${ORDERS_OVERRIDE:+-f "$ORDERS_OVERRIDE"} "$@"
  env -u ORDERS_NODE -u ORDERS_IMAGE -u ORDERS_DB_IMAGE -u ORDERS_SECRETS -u COMPOSE_FILE -u COMPOSE_PROJECT_NAME -u COMPOSE_PROFILES docker compose "$@"
}

# A first start that was cut off leaves a database without its role or its door, and its image would take it for a whole one. The
# mark stands from before the volume exists until the role is set, so whatever it stands beside never served anybody.
mark_first_start() {
  if ! docker volume inspect "${project}_data" >/dev/null 2>&1; then : > "$dir/first-start"; return; fi
  [ -f "$dir/first-start" ] || return 0
  say "$node: the first start of the database was cut off, it begins anew"
  id=$(container db)
  [ -z "$id" ] || docker rm -f "$id" >/dev/null
  docker volume rm "${project}_data" >/dev/null
}

# 256 bits each. The folder keeps other users out; the files in it must be readable for the container's users.
make_secrets() {
  mkdir -p "$dir/secrets"
  chmod 700 "$dir" "$dir/secrets"
  for secret in database_password postgres_password; do
    [ ! -s "$dir/secrets/$secret" ] || continue
    head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n' > "$dir/secrets/$secret"
    chmod 444 "$dir/secrets/$secret"
  done
}

# Everything that the Compose file asks for, so that a plain `docker compose -f infra/docker-compose.yml …` needs nothing else.
write_settings() {
  chosen=$(database_image)
  {
    printf '%s\n' "# Written by infra/docker up." "ORDERS_PROJECT=${ORDERS_PROJECT:-orders}" "ORDERS_NODE=$node" "ORDERS_ADDRESS=$address" "ORDERS_PORT=$port" \
      "ORDERS_IMAGE=$image" "ORDERS_DB_IMAGE=$chosen" "ORDERS_SECRETS=$dir/secrets" "ORDERS_ENV=${ORDERS_ENV:-production}" "LOG_LEVEL=${LOG_LEVEL:-info}"
    [ "${SCALE:-1}" = 1 ] || printf '%s\n' "ORDERS_HEALTH_INTERVAL=$((10 * SCALE))s" "ORDERS_HEALTH_TIMEOUT=$((4 * SCALE))s"
    sed -n 's/^      \([A-Z_]*\):$/\1/p' "$infra/docker-compose.yml" | while read -r name; do
      if value=$(printenv "$name"); then printf '%s=%s\n' "$name" "$value"; fi
    done
  } > "$dir/env"
  # for the operator: the node control, and in a VM its only node
  if [ "${ORDERS_PROJECT:-orders}" = orders ] && { [ "$node" = control ] || [ -n "${ORDERS_ADDRESS:-}" ]; }; then cp "$dir/env" "$infra/.env"; fi
}

undo_pauses() {
  printf '%s\n' "$known" | while read -r _ paused is _; do [ "$is" != paused ] || docker unpause "$paused" >/dev/null; done
}

await_ready() {
  prober='' role=no api=$(container api) db=$(container db)
  end=$(($(date +%s) + 60 * ${SCALE:-1})) first=$(seen "$api" '{{.RestartCount}}')
  say "$node: waiting for the database"
  while :; do
    blame
    if [ $role = no ] && database_answers; then
      set_role || guilty db 'the role orders could not be set up'
      role=yes
      rm -f "$dir/first-start"
      say "$node: waiting for http://$address:$port/ready"
      watch_ready $(((end - $(date +%s)) * 1000)) > "$dir/seen" 2>&1 & prober=$!
    fi
    if [ -n "$prober" ] && ! kill -0 "$prober" 2>/dev/null; then
      wait "$prober" && return
      guilty api "not ready in time; /ready said last: $(tail -n 1 "$dir/seen")"
    fi
    [ "$(date +%s)" -lt $((end + 5)) ] || guilty db 'the database did not answer in time'
    pause 0.2
  done
}
watch_ready() {
  if command -v node >/dev/null; then exec node -e "$probe" "$address" "$port" "$1"; fi
  exec docker run --rm --network host --read-only --cap-drop ALL --name "$project-probe" --label "com.docker.compose.project=$project" \
    --label com.docker.compose.oneoff=True "$image" -e "$probe" "$address" "$port" "$1"
}
database_answers() { docker exec "$(container db)" pg_isready -q -h 127.0.0.1 -U orders -d orders 2>/dev/null; }
set_role() { docker exec "$(container db)" /docker-entrypoint-initdb.d/role.sh >&2; }

# A container that ends again and again will not get well by waiting. 78 is a refused configuration; between two starts the
# engine tells no exit code, so its events are asked.
blame() {
  seen "$api $db" '{{.State.Status}} {{.RestartCount}}' > "$dir/states" || guilty api 'a container has gone'
  { read -r api_state api_count; read -r db_state db_count; } < "$dir/states"
  if [ "$api_count" -gt "$first" ] || [ "$api_state" = exited ]; then
    ! ends_of "$api" | grep -qx 78 || guilty api 'the service refuses its configuration'
    if [ "$api_state" = exited ] || [ "$api_count" -gt $((first + 4)) ]; then guilty api 'the service ends again and again'; fi
  fi
  case "$db_state $db_count" in exited* | 'restarting '[3-9]*) guilty db 'the database ends again and again' ;; esac
}
ends_of() { docker events --since "$began" --until "$(date +%s)" --filter "container=$1" --filter event=die --format '{{.Actor.Attributes.exitCode}}'; }

guilty() { # SERVICE REASON: its last words, each once; then nothing is left running or restarting
  [ -z "$prober" ] || { kill "$prober" 2>/dev/null || true; docker rm -f "$project-probe" >/dev/null 2>&1 || true; }
  docker logs --tail 20 "$(container "$1")" 2>&1 | awk '!said[$0]++' >&2
  clean_failure
  fail "$node: $2; the last lines of $1 stand above, and nothing of $node was left running"
}
# A database in its first start is deaf to the signal to stop, and has nothing to lose.
clean_failure() {
  look
  if [ -f "$dir/first-start" ]; then docker kill "$(container db)" >/dev/null 2>&1 || true; fi
  halt 2>/dev/null
}
