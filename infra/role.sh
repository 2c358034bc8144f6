#!/bin/sh
# In the database container: the role `orders` with what it needs, and the password of its secret file. Run on the first start,
# by `make up`, and by `recover bad-credentials`; may run again at any time.
set -eu
psql -X -q -v ON_ERROR_STOP=1 -U "${POSTGRES_USER:-postgres}" -d "${POSTGRES_DB:-orders}" <<'SQL'
-- a statement with a password in it stays out of the server's log, also when it fails
set log_statement = 'none';
set log_min_error_statement = 'panic';
set log_min_duration_statement = -1;
set client_min_messages = 'warning';
-- the role is set even where the default is to read only
set default_transaction_read_only = off;
select 'create role orders' where not exists (select from pg_roles where rolname = 'orders') \gexec
\set password `cat /run/secrets/database_password`
alter role orders login nosuperuser nocreatedb nocreaterole noreplication nobypassrls password :'password';
revoke all on database orders from public;
revoke all on schema public from public;
grant connect on database orders to orders;
grant usage, create on schema public to orders;
-- the superuser is for this container's own socket: with no password it cannot log in over the network
alter role current_user password null;
SQL

# The first start runs this last, before the database has a door. With this mark among its data it is a whole one: whoever
# finds that start cut off must not take it for one that served nobody. It is on disk before any order can be, and with it
# the rules of who may log in, which a power cut would take.
listens=$(psql -X -q -At -U "${POSTGRES_USER:-postgres}" -d "${POSTGRES_DB:-orders}" -c 'show listen_addresses')
if [ -z "$listens" ]; then
  : > "$PGDATA/orders-whole"
  sync "$PGDATA/orders-whole" "$PGDATA"/*.conf "$PGDATA"
fi
