# Stand-in for node:24-trixie-slim, with the packages of the lock file in npm's cache so that `npm ci` needs no network.
FROM scratch
ADD rootfs.tar /
COPY node /usr/local/bin/node
COPY npm /usr/local/lib/node_modules/npm
COPY cache /var/cache/npm
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm && ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin NODE_VERSION=24.21.0 npm_config_cache=/var/cache/npm npm_config_prefer_offline=true
CMD ["node"]
