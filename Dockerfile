# The whole way from the sources to the image: build with everything, run with as little as possible.
FROM node:24-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --omit=optional --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build

FROM node:24-slim AS modules
WORKDIR /modules
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts

FROM node:24-slim
ENV NODE_ENV=production
WORKDIR /opt/meshlog
COPY --from=modules /modules/node_modules ./node_modules
COPY --from=build /build/dist ./dist
COPY package.json config.example.yaml ./
COPY pipelines ./pipelines
RUN mkdir -p /etc/meshlog /var/lib/meshlog && chown node:node /var/lib/meshlog && cp config.example.yaml /etc/meshlog/config.yaml
USER node
VOLUME /var/lib/meshlog
EXPOSE 8888
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["node", "-e", "fetch('http://127.0.0.1:8888/readyz').then(r=>process.exit(r.ok?0:1),()=>process.exit(1))"]
ENTRYPOINT ["node", "dist/main.js"]
CMD ["run", "--config", "/etc/meshlog/config.yaml"]
