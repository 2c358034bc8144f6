# A member of the replicated database: PostgreSQL 17 under Patroni 4, from Debian packages; user 999, no shell to log into.
FROM scratch
ADD rootfs.tar /
COPY member first-start role.sh /usr/local/bin/
# without the compiled modules, which a read-only root cannot keep, each start would compile them again
RUN python3 -m compileall -q /usr/lib/python3 /usr/lib/python3.* && mkdir -p /var/lib/postgresql/data /var/run/postgresql && \
  chown -R 999:999 /var/lib/postgresql && chmod 700 /var/lib/postgresql/data && chmod 1777 /var/run/postgresql
ENV PATH=/usr/lib/postgresql/17/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 PGDATA=/var/lib/postgresql/data/17
USER 999:999
VOLUME /var/lib/postgresql/data
ENTRYPOINT ["member"]
STOPSIGNAL SIGTERM
EXPOSE 5432 8008
