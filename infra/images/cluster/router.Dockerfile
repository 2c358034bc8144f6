# The router, HAProxy 3.0 from Debian packages: to a replica that is ready, and to the database's leader. User 999.
FROM scratch
ADD rootfs.tar /
USER 999:999
ENTRYPOINT ["haproxy", "-W", "-db", "-f", "/etc/haproxy/haproxy.cfg"]
# it serves what it has begun, and takes nothing new
STOPSIGNAL SIGUSR1
EXPOSE 8000 5432
