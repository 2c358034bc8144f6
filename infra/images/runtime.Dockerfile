# Stand-in for gcr.io/distroless/nodejs24-debian13:nonroot: no shell, Node at /nodejs/bin/node, user 65532.
FROM scratch
ADD rootfs.tar /
COPY node /nodejs/bin/node
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532
WORKDIR /home/nonroot
ENTRYPOINT ["/nodejs/bin/node"]
