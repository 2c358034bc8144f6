# A member of etcd 3.5, from Debian packages: what the members of the database agree by. User 999.
FROM scratch
ADD rootfs.tar /
RUN mkdir -p /var/lib/etcd/data && chown -R 999:999 /var/lib/etcd && chmod 700 /var/lib/etcd/data
USER 999:999
VOLUME /var/lib/etcd
ENTRYPOINT ["etcd"]
EXPOSE 2379 2380
