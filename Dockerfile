# syntax=docker/dockerfile:1

# Dependencies for running, without those for developing.
FROM node:26-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The image needs neither the embedded Postgres nor the npm package "node": it has Node, and DATABASE_URL.
RUN npm ci --omit=dev --omit=optional --ignore-scripts

FROM node:26-bookworm-slim
# pg_dump and pg_restore, which backups of databases need, must be as new as the server: Debian 12 has those of 15, so the
# newest come from the archive of PostgreSQL itself. The script that adds it, and the key that it is signed with, are Debian's.
RUN apt-get update \
  && apt-get install -y --no-install-recommends ca-certificates postgresql-common \
  && /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y \
  && apt-get install -y --no-install-recommends postgresql-client \
  && rm -rf /var/lib/apt/lists/*
ENV NODE_ENV=production HOST=0.0.0.0 PORT=3000
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json ./
COPY src ./src
COPY migrations ./migrations
# The image's own account without privileges.
USER node
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/healthz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Node is process 1 and handles SIGTERM itself: a stop drains.
STOPSIGNAL SIGTERM
# Room for a herd in the young generation; src/start-memory.ts gives back what starting takes of it. As in `npm start`.
CMD ["node", "--max-semi-space-size=64", "src/main.ts"]
