FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# The development dependencies stay out, and with them the `node` package: the image's own Node runs this.
# What is left runs no install script.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:24-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY . .
RUN install -d -o node -g node /data
USER node

# Inside a container loopback reaches nobody. Without authentication the server refuses to listen wider,
# and says so: see HOLDPOINT_INSECURE_LISTEN in .env.example and how docker-compose.yml uses it.
ENV HOST=0.0.0.0 PORT=2024 HOLDPOINT_DATA_DIR=/data
VOLUME /data
EXPOSE 2024

HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/ok`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]

CMD ["node", "server/main.ts"]
