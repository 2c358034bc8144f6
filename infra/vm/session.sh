# One SSH session per node, which every call shares, for infra/vagrant. Its files lie in $state, under short relative names.
# shellcheck shell=sh disable=SC2154
options() { # NODE; the SSH daemon of an emulated VM was seen silent for more than half a minute while its database was made
  echo "-F $1.ssh -o ControlPath=$1.session -o BatchMode=yes -o ConnectTimeout=$((10 * SCALE)) -o ServerAliveInterval=5 -o ServerAliveCountMax=$((3 * SCALE))"
}
# shellcheck disable=SC2046
connect() { # NODE
  cd "$state" || return 1
  [ ! -e "$1.session" ] || ! ssh $(options "$1") -O check "$1" 2>/dev/null || return 0
  rm -f "$1.session"
  [ -s "$1.ssh" ] || write_ssh_configs "$1" || return 1
  # The session stays in the background and would keep our stderr open, so it is begun apart from any call.
  ssh $(options "$1") -o ControlMaster=auto -o ControlPersist=600 "$1" true </dev/null >/dev/null 2>&1 ||
    { no_answer "$1"; return 1; }
}
no_answer() { say "$1 does not answer over SSH; make status tells whether its machine runs, make up starts it"; }
# shellcheck disable=SC2046
over_ssh() { # NODE COMMAND: in the VM's shell
  connect "$1" || return 1
  code=0
  (cd "$state" && exec ssh $(options "$1") -o ControlMaster=no "$1" "$2") || code=$?
  [ $code != 255 ] || { hang_up "$1"; no_answer "$1"; return 1; }
  return $code
}
# shellcheck disable=SC2046
hang_up() { # NODE
  [ ! -e "$state/$1.session" ] || (cd "$state" && ssh $(options "$1") -O exit "$1" 2>/dev/null) || true
  rm -f "$state/$1.session"
}
write_ssh_configs() { # NODE…: one call of Vagrant, which takes seconds, for all of them
  (cd "$root/vagrant" && vagrant ssh-config "$@" </dev/null) > "$state/ssh-configs" || { say "Vagrant knows no way into $*"; return 1; }
  for one in "$@"; do awk -v host="$one" '$1 == "Host" { ours = $2 == host } ours' "$state/ssh-configs" > "$state/$one.ssh"; done
  rm -f "$state/ssh-configs"
}

# infra/docker in the VM, with the settings that hold there. A value may hold anything but a line break.
in_vm() { # NODE VERB [ARG…]
  node=$1
  shift
  line="NODE=$node ORDERS_PLATFORM=vagrant ORDERS_FIREWALL=1 ORDERS_ADDRESS=$("$infra/nodes" address "$node")"
  for name in SCALE ORDERS_PORT LOG_LEVEL ORDERS_ENV LINES $(sed -n 's/^      \([A-Z_]*\):$/\1/p' "$infra/docker-compose.yml"); do
    if value=$(printenv "$name"); then line="$line $name=$(quoted "$value")"; fi
  done
  for name in $images; do case $name in orders:*) line="$line ORDERS_IMAGE=$name" ;; *) line="$line ORDERS_DB_IMAGE=$name" ;; esac; done
  line="env $line ./infra/docker"
  for arg in "$@"; do line="$line $(quoted "$arg")"; done
  over_ssh "$node" "$line"
}
quoted() { printf "'%s'" "$(printf %s "$1" | sed "s/'/'\\\\''/g")"; }
